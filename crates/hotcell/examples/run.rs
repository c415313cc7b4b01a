//! One command in a machine of its own: `cargo run --example run`.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::process::ExitCode;

use hotcell::{Client, Error, Run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let client = Client::open()?;
    let environment = "debian:12".parse().expect("a name");
    let done = client.run(Run::new(environment, ["git", "--version"])).await?;
    println!("{}", String::from_utf8_lossy(&done.result.stdout.tail.0).trim_end());
    println!("in {}, created in {} ms", done.workspace, done.create_ms);
    Ok(ExitCode::from(done.result.exit_code))
}
