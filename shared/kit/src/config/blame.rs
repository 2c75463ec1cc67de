//! Which flag an error is about, and what mends it.

use std::{error::Error, path::Path};

use identity_guard::{
    channel::{ChannelConfig, ChannelError},
    services::ServiceIdentityError,
};

use super::ConfigError;
use crate::{
    password::{HashPoolError, PolicyError},
    secret::SecretFileError,
    server::{TlsError, TlsFiles},
};

/// What mends a file that cannot be read.
const READABLE: &str = "name a file that this user may read";
/// What mends one that is of another kind as well.
const READABLE_PEM: &str = "name a PEM file that this user may read";
/// How a key comes to be.
const MAKE_KEY: &str = "make one with `openssl rand -base64 48 >FILE` that this user may read";

/// The flags of one listener's certificates.
pub(super) struct TlsFlags {
    pub(super) cert: &'static str,
    pub(super) key: &'static str,
    pub(super) client_ca: &'static str,
}

impl ConfigError {
    /// What is wrong with the files of a listener.
    pub(super) fn of_tls(flags: &TlsFlags, files: &TlsFiles, error: &TlsError) -> Self {
        let is = |file: &Path| file == error.file;
        let flag = if files.client_ca_file.as_deref().is_some_and(is) {
            flags.client_ca
        } else if is(&files.key_file) {
            flags.key
        } else {
            flags.cert
        };
        Self::new(flag, error.to_string(), READABLE_PEM)
    }

    /// What is wrong with a secret file; `fill` says how a good one comes to be.
    #[must_use]
    pub fn of_secret(flag: &'static str, error: &SecretFileError, fill: &str) -> Self {
        let fix = match error {
            SecretFileError::Read { .. } => READABLE,
            SecretFileError::TooShort { .. } => fill,
        };
        Self::new(flag, whole(error), fix)
    }

    /// What is wrong with `--service-identity`.
    #[must_use]
    pub fn of_identity(error: &ServiceIdentityError) -> Self {
        let fix = match error {
            ServiceIdentityError::Syntax { .. } => "see --help",
            ServiceIdentityError::Unreadable { .. } => READABLE,
            ServiceIdentityError::UnusableKey { .. } => MAKE_KEY,
            ServiceIdentityError::Ambiguous { .. } => "let each have its own",
        };
        Self::new("--service-identity", whole(error), fix)
    }

    /// What is wrong with the channel to the other service; `url_flag` is the flag of its URL.
    #[must_use]
    pub fn of_channel(
        url_flag: &'static str,
        config: &ChannelConfig,
        error: &ChannelError,
    ) -> Self {
        let (flag, fix) = match error {
            ChannelError::Url { .. } => (url_flag, "write it that way"),
            ChannelError::Plaintext { .. } => (url_flag, "and set --peer-ca-file"),
            ChannelError::MissingCa => (
                "--peer-ca-file",
                "set it to the certificate of the authority that has signed the other service's",
            ),
            ChannelError::LoneCertificate if config.key_file.is_none() => {
                ("--peer-key-file", "set it, or leave --peer-cert-file out")
            }
            ChannelError::LoneCertificate => {
                ("--peer-cert-file", "set it, or leave --peer-key-file out")
            }
            ChannelError::ServerName { .. } if config.expected_san.is_some() => (
                "--peer-san",
                "name the one in the other service's certificate",
            ),
            ChannelError::ServerName { .. } => {
                (url_flag, "name the other service there, or set --peer-san")
            }
            ChannelError::File { path, .. } => (file_flag(config, path), READABLE_PEM),
            ChannelError::Tls(_) if config.cert_file.is_some() => (
                "--peer-cert-file",
                "see that --peer-key-file is its key, and --peer-ca-file holds certificates",
            ),
            ChannelError::Tls(_) => ("--peer-ca-file", READABLE_PEM),
            ChannelError::ServiceKey(_) => ("--peer-service-key-file", MAKE_KEY),
        };
        Self::new(flag, whole(error), fix)
    }

    /// What is wrong with the cost of passwords, or with the threads that hash them.
    #[must_use]
    pub fn of_hash_pool(error: &HashPoolError) -> Self {
        match error {
            HashPoolError::Policy(error) => {
                let (flag, problem) = match error {
                    PolicyError::Memory(kib) => ("--password-memory-kib", kib),
                    PolicyError::Passes(count) => ("--password-passes", count),
                    PolicyError::Lanes(count) => ("--password-lanes", count),
                };
                // It says what is wrong, and after a colon what is right.
                let text = error.to_string();
                let fix = text.split_once(": ").map_or("see --help", |(_, fix)| fix);
                Self::new(flag, format!("{problem} is out of bounds"), fix)
            }
            HashPoolError::Thread(error) => Self::new(
                "--hash-threads",
                format!("a thread cannot be started: {error}"),
                "let it be fewer",
            ),
        }
    }
}

/// Whose file it is.
fn file_flag(config: &ChannelConfig, path: &Path) -> &'static str {
    let is = |file: &Option<std::path::PathBuf>| file.as_deref() == Some(path);
    if is(&config.ca_file) {
        "--peer-ca-file"
    } else if is(&config.cert_file) {
        "--peer-cert-file"
    } else {
        "--peer-key-file"
    }
}

/// The error with its causes, each said once.
fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, sync::Arc, time::Duration};

    use identity_guard::channel::IdentityChannel;
    use tempfile::TempDir;

    use super::*;
    use crate::{
        clock::SystemClock,
        entropy::SystemEntropy,
        password::{HashPool, PasswordPolicy},
    };

    struct Files(TempDir);

    impl Files {
        fn make() -> Self {
            let files = Self(TempDir::new().expect("a folder"));
            let signed =
                rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("signs");
            for (name, text) in [
                ("cert", signed.cert.pem()),
                ("key", signed.signing_key.serialize_pem()),
                ("service-key", "k".repeat(40)),
                ("junk", "junk".to_owned()),
            ] {
                fs::write(files.at(name), text).expect("writes");
            }
            files
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn good(&self) -> ChannelConfig {
            ChannelConfig {
                url: "https://localhost:1".to_owned(),
                ca_file: Some(self.at("cert")),
                cert_file: Some(self.at("cert")),
                key_file: Some(self.at("key")),
                expected_san: None,
                service_key_file: Some(self.at("service-key")),
                connect_timeout: Duration::from_secs(1),
                call_timeout: Duration::from_secs(1),
            }
        }
    }

    fn blamed(config: &ChannelConfig) -> Option<&'static str> {
        let made = IdentityChannel::new(config.clone(), Arc::new(SystemClock));
        let error = made.err()?;
        Some(ConfigError::of_channel("--peer-url", config, &error).flag)
    }

    #[tokio::test]
    async fn each_setting_of_the_channel_is_blamed_for_its_own_mistakes() {
        let files = Files::make();
        assert_eq!(blamed(&files.good()), None);
        let wrong = |spoil: &dyn Fn(&mut ChannelConfig)| {
            let mut config = files.good();
            spoil(&mut config);
            blamed(&config)
        };
        for url in ["nonsense", "http://example.org:1", "https://-:1"] {
            let blamed = wrong(&|config| config.url = url.to_owned());
            assert_eq!(blamed, Some("--peer-url"), "{url}");
        }
        let san = wrong(&|config| config.expected_san = Some("not a name".to_owned()));
        assert_eq!(san, Some("--peer-san"));
        let none = wrong(&|config| config.ca_file = None);
        assert_eq!(none, Some("--peer-ca-file"));
        let lone = wrong(&|config| config.key_file = None);
        assert_eq!(lone, Some("--peer-key-file"));
        let lone = wrong(&|config| config.cert_file = None);
        assert_eq!(lone, Some("--peer-cert-file"));
        for name in ["absent", "junk"] {
            let bad = || Some(files.at(name));
            let ca = wrong(&|config| config.ca_file = bad());
            assert_eq!(ca, Some("--peer-ca-file"), "{name}");
            let cert = wrong(&|config| config.cert_file = bad());
            assert_eq!(cert, Some("--peer-cert-file"), "{name}");
            let key = wrong(&|config| config.key_file = bad());
            assert_eq!(key, Some("--peer-key-file"), "{name}");
            let key = wrong(&|config| config.service_key_file = bad());
            assert_eq!(key, Some("--peer-service-key-file"), "{name}");
        }
    }

    #[test]
    fn each_part_of_the_cost_is_blamed_for_itself() {
        let good = PasswordPolicy {
            m_kib: 64,
            t: 1,
            p: 1,
        };
        for (policy, flag) in [
            (PasswordPolicy { m_kib: 1, ..good }, "--password-memory-kib"),
            (PasswordPolicy { t: 0, ..good }, "--password-passes"),
            (PasswordPolicy { p: 17, ..good }, "--password-lanes"),
        ] {
            let error = HashPool::new(1, 1, policy, Arc::new(SystemEntropy))
                .err()
                .expect("is out of bounds");
            let error = ConfigError::of_hash_pool(&error);
            assert_eq!(error.flag, flag);
            assert!(error.fix.starts_with("use "), "{error}");
        }
    }
}
