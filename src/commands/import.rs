//! stub
use super::console::Console;
use super::{Exit, Outcome};
use clap::Args;
#[derive(Args)]
pub struct Arguments {}
pub(super) fn run(_: &Arguments, _: &Console) -> Outcome {
    Ok(Exit::Fine)
}
