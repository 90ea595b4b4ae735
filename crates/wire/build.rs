//! Compiles the `.proto` files without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new("../../proto");
    let files = [
        "common",
        "matching",
        "watchlist",
        "agreement",
        "peer",
        "audit",
        "disclosure",
    ]
    .map(|name| format!("concordat/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=../../proto");
    let descriptors = protox::compile(files, [root])?;
    tonic_prost_build::configure()
        .bytes(".concordat.v1.EvaluateChunk.elements")
        .bytes(".concordat.v1.EvaluatedChunk.elements")
        .bytes(".concordat.v1.FetchSegmentResponse.data")
        .bytes(".concordat.v1.ImportRequest.data")
        .bytes(".concordat.v1.ReadLedgerResponse.data")
        .compile_fds(descriptors)?;
    Ok(())
}
