//! hotcell-cli
fn main() {}
