//! The commands in the README: what a reader pastes.

use std::{fs, path::PathBuf};

/// The folder of the repository.
pub(super) fn repository() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// The shell blocks of a section, in their order.
pub(super) fn shell_blocks(section: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("README.md")).unwrap();
    blocks(&text, section)
}

fn blocks(text: &str, section: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text
        .lines()
        .skip_while(|line| *line != format!("## {section}"));
    assert!(
        lines.next().is_some(),
        "the README has no section {section}"
    );
    while let Some(line) = lines.next().filter(|line| !line.starts_with("## ")) {
        if line == "```sh" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// Puts what holds on this machine into what the README says; each text must be there.
pub(super) fn put<'a>(
    block: &str,
    replacements: impl IntoIterator<Item = (&'a str, String)>,
) -> String {
    let mut text = block.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        text = text.replace(from, &to);
    }
    text
}

#[test]
fn the_shell_blocks_of_one_section_are_found() {
    let text = "## One\n```sh\na\n```\n## Two\n```sh\nb\nc\n```\n   ```proto\nx\n   ```\n```sh\nd\n```\n## Three\n```sh\ne\n```\n";
    assert_eq!(blocks(text, "Two"), ["b\nc\n", "d\n"]);
}
