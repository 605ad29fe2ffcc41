//! Compiles `../schema/*.proto` into Rust with protox, so that no `protoc` has to be installed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../schema");
    let files = ["envelope.proto", "share.proto", "member.proto", "drive.proto"];
    let descriptors = protox::compile(files, ["../schema"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
