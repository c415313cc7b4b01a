//! The server for models: how soon it answers, and what its modes cost a model.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::figures::{Figure, Report, Target, median};
use super::product::{Product, milliseconds};

/// Starts per round.
const STARTS: u32 = 10;

/// The protocol's revision that is spoken.
const REVISION: &str = "2025-06-18";

/// The modes: profiles for one purpose.
const MODES: &[&str] = &["repro-fix", "inspect", "cold-start", "review-eval"];

/// Tokens of a model's text have about so many bytes.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Measures some rounds.
pub(super) fn measure(product: &Product<'_>, rounds: u32, report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let starts: Vec<f64> = (0..STARTS).map(|_| listed(product)).collect::<Result<_>>()?;
        times.push(median(&starts));
    }
    report.add(Figure {
        name: "server for models: start → tools/list",
        unit: "ms",
        product: times,
        baseline: None,
        target: Some(Target::AtMost(15.0)),
    });
    let costs: Vec<(u32, f64)> =
        MODES.iter().map(|mode| cost(product, mode)).collect::<Result<_>>()?;
    let largest = |of: fn(&(u32, f64)) -> f64| costs.iter().map(of).max_by(f64::total_cmp);
    report.add(Figure {
        name: "… tools of the largest mode",
        unit: "",
        product: largest(|(tools, _)| f64::from(*tools)).into_iter().collect(),
        baseline: None,
        target: Some(Target::AtMost(12.0)),
    });
    report.add(Figure {
        name: "… tokens of the dearest mode",
        unit: "",
        product: largest(|(_, bytes)| bytes / BYTES_PER_TOKEN).into_iter().collect(),
        baseline: None,
        target: Some(Target::AtMost(1500.0)),
    });
    Ok(())
}

/// From the start of the process until it has told its tools.
fn listed(product: &Product<'_>) -> Result<f64> {
    let begun = Instant::now();
    let mut server = Command::new(product.program)
        .args(["mcp", "serve", "--no-project-source"])
        .env("HOTCELL_HOME", product.home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", product.program.display()))?;
    let mut input = server.stdin.take().context("the server has no input")?;
    let mut output = BufReader::new(server.stdout.take().context("the server has no output")?);
    let mut ask = |message: Value, answered: Option<u64>| -> Result<()> {
        writeln!(input, "{message}")?;
        let mut line = String::new();
        while let Some(id) = answered {
            line.clear();
            ensure!(output.read_line(&mut line)? > 0, "the server ended");
            let answer: Value = serde_json::from_str(&line)?;
            if answer["id"] == id {
                ensure!(answer["result"].is_object(), "{answer}");
                break;
            }
        }
        Ok(())
    };
    let client = json!({ "name": "bench", "version": "1" });
    let parameters =
        json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": client });
    let begin = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters });
    ask(begin, Some(1))?;
    ask(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }), None)?;
    ask(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }), Some(2))?;
    let elapsed = milliseconds(begun);
    // Its host goes away.
    drop(input);
    server.wait()?;
    Ok(elapsed)
}

/// How many tools a mode has, and the bytes of their names, descriptions and
/// input schemas.
fn cost(product: &Product<'_>, mode: &str) -> Result<(u32, f64)> {
    let told = Command::new(product.program)
        .args(["--json", "mcp", "tools", "--profile", mode])
        .env("HOTCELL_HOME", product.home)
        .output()
        .with_context(|| format!("cannot start {}", product.program.display()))?;
    ensure!(told.status.success(), "there is no mode {mode}");
    let told: Value = serde_json::from_slice(&told.stdout)?;
    let tools = told["tools"].as_array().context("no tools")?.len();
    Ok((u32::try_from(tools)?, told["bytes"].as_f64().context("no bytes")?))
}
