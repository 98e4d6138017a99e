//! The `gondola` command: arguments to configuration to command to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gondola::cli::main()
}
