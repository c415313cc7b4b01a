//! Several workspaces at once, each with its own files, and output as it comes:
//! `cargo run --example parallel`.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use hotcell::operations::Create;
use hotcell::{Call, Client, CommandEvent, CommandOptions, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let client = Client::open()?;
    let (one, two) = tokio::try_join!(work(&client, "one"), work(&client, "two"))?;
    println!("{one} and {two} are done");
    Ok(())
}

/// Writes a file in a workspace of its own and reads it back.
async fn work(client: &Client, what: &'static str) -> Result<&'static str, Error> {
    let workspace = client.create(Create::default()).await?;
    let script = format!("echo {what} > file; cat file; hostname");
    let mut call = Call::new(move |event| async move {
        if let CommandEvent::Stdout { bytes } = event {
            print!("{what}: {}", String::from_utf8_lossy(&bytes.0));
        }
    });
    let result =
        workspace.exec_with(["sh", "-c", &script], CommandOptions::default(), &mut call).await;
    workspace.delete().await?;
    assert_eq!(result?.exit_code, 0);
    Ok(what)
}
