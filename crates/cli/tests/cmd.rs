//! Transcripts: every `--help`, and every error a person can run into without a node, with its whole text and exit
//! code. `TRYCMD=overwrite cargo test -p concordat --test cmd` writes them anew; read the difference.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

#[test]
fn transcripts() {
    trycmd::TestCases::new()
        .env("COLUMNS", "100")
        .insert_var("[VERSION]", env!("CARGO_PKG_VERSION"))
        .expect("a variable")
        .case("tests/cmd/*.trycmd");
}
