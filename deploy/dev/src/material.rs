//! The secrets and certificates of one pair: root secrets, service keys, a certificate authority and its certificates.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::{
    private_file,
    problem::Problem,
    service::{BACKEND, Service, identity},
};

/// How long the certificates are good: they are made anew at each start.
const CERTIFICATE_LIFE: Duration = Duration::from_hours(365 * 24);

/// The files in the folder of each who proves itself to another.
const SERVICE_KEY: &str = "service-key";
const CERTIFICATE: &str = "certificate.pem";
const PRIVATE_KEY: &str = "certificate-key.pem";

/// Where the secrets and certificates of one pair are. Every file has mode 0600.
#[derive(Clone, Debug)]
pub struct Material {
    folder: PathBuf,
}

impl Material {
    /// Makes what is missing in the folder: secrets once and for all, certificates each time.
    ///
    /// The authority's private key is never written, so that nobody can make another certificate.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn prepare(folder: &Path) -> Result<Self, Problem> {
        let material = Self {
            folder: folder.to_owned(),
        };
        for service in Service::BOTH {
            private_file::create_folder(&material.folder_of(service))?;
            private_file::write_secret_once(&material.root_secret(service))?;
            private_file::write_secret_once(&material.service_key(service))?;
        }
        private_file::create_folder(&folder.join(BACKEND))?;
        private_file::write_secret_once(&material.backend_service_key())?;
        material
            .write_certificates()
            .map_err(|error| Problem::new(format!("cannot make certificates: {error}")))??;
        Ok(material)
    }

    /// What belongs to one service.
    #[must_use]
    pub fn folder_of(&self, service: Service) -> PathBuf {
        self.folder.join(service.name())
    }

    /// The key that a backend of one's own shows to auth-service; its certificate is beside it.
    #[must_use]
    pub fn backend_service_key(&self) -> PathBuf {
        self.folder.join(BACKEND).join(SERVICE_KEY)
    }

    /// The secret that the service derives its keys from.
    #[must_use]
    pub fn root_secret(&self, service: Service) -> PathBuf {
        self.folder_of(service).join("root-secret")
    }

    /// The key that this service shows to its peer.
    #[must_use]
    pub fn service_key(&self, service: Service) -> PathBuf {
        self.folder_of(service).join(SERVICE_KEY)
    }

    /// The certificate of the internal listener, which is also the client certificate towards the peer.
    #[must_use]
    pub fn certificate(&self, service: Service) -> PathBuf {
        self.folder_of(service).join(CERTIFICATE)
    }

    /// The private key of that certificate.
    #[must_use]
    pub fn private_key(&self, service: Service) -> PathBuf {
        self.folder_of(service).join(PRIVATE_KEY)
    }

    /// The certificate of the authority that both sides trust.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    fn write_certificates(&self) -> Result<Result<(), Problem>, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority
            .distinguished_name
            .push(DnType::CommonName, "identity development authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        limit_life(&mut authority);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut files = vec![(self.authority(), authority.pem())];
        for name in Service::BOTH
            .map(Service::name)
            .into_iter()
            .chain([BACKEND])
        {
            let key = KeyPair::generate()?;
            let certificate = leaf(name)?.signed_by(&key, &authority)?;
            let folder = self.folder.join(name);
            files.push((folder.join(CERTIFICATE), certificate.pem()));
            files.push((folder.join(PRIVATE_KEY), key.serialize_pem()));
        }
        Ok(files
            .iter()
            .try_for_each(|(path, text)| private_file::write(path, text.as_bytes())))
    }
}

/// The certificate of a program on this machine, for both ends of a connection.
fn leaf(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, name);
    leaf.subject_alt_names = vec![
        SanType::URI(identity(name).as_str().try_into()?),
        SanType::DnsName(name.try_into()?),
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ];
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    limit_life(&mut leaf);
    Ok(leaf)
}

fn limit_life(certificate: &mut CertificateParams) {
    let now = SystemTime::now();
    // A clock that is set back a little must not refuse its own certificate.
    certificate.not_before = (now - Duration::from_hours(1)).into();
    certificate.not_after = (now + CERTIFICATE_LIFE).into();
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn secrets_stay_and_certificates_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let material = Material::prepare(folder.path()).unwrap();
        let secret = fs::read(material.root_secret(Service::Auth)).unwrap();
        let certificate = fs::read(material.certificate(Service::Auth)).unwrap();
        Material::prepare(folder.path()).unwrap();
        assert_eq!(
            fs::read(material.root_secret(Service::Auth)).unwrap(),
            secret
        );
        assert_ne!(
            fs::read(material.certificate(Service::Auth)).unwrap(),
            certificate
        );
    }

    #[test]
    fn each_who_calls_has_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let material = Material::prepare(folder.path()).unwrap();
        let keys = [
            material.service_key(Service::Auth),
            material.service_key(Service::User),
            material.backend_service_key(),
        ]
        .map(|path| fs::read(path).unwrap());
        assert_ne!(keys[0], keys[1]);
        assert_ne!(keys[0], keys[2]);
        assert_ne!(keys[1], keys[2]);
    }
}
