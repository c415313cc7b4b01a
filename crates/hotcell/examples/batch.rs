//! A batch from its start to your branch: `cargo run --example batch` in a repository
//! whose `.hotcell/batch.toml` says which agent does the tasks.

#![expect(clippy::print_stdout, reason = "an example shows what it got")]

use std::error::Error;

use hotcell::Client;
use hotcell::batch_control::start::Start;
use hotcell::batch_control::status::{BatchState, FollowEnd};
use hotcell::batch_mailbox::send::{SentKind, WaitAnswer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The engine is a process of its own: it goes on if this one ends here.
    let batch = Client::open()?.batches().start(Start::of([])).await?;
    println!("{} has begun", batch.id());
    batch.send("everyone".parse()?, SentKind::Info, "Be brief.".parse()?).await?;
    let status = loop {
        let status = batch.wait().await?;
        if status.followed_until != Some(FollowEnd::Waits) {
            break status;
        }
        for wait in &status.waits {
            println!("{} waits: {}", wait.id, wait.reason);
            batch.answer(wait.id, WaitAnswer::Go, "Choose yourself.".parse()?).await?;
        }
    };
    println!("{}", status.summary());
    if status.state != BatchState::Completed {
        return Err("not everything is done".into());
    }
    let integrated = batch.integrate().await?;
    println!("integrated as {}", integrated.branch);
    Ok(())
}
