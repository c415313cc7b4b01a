//! The program `/run/hotcell/tools` of a guest; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    guest_tools::run(&arguments)
}
