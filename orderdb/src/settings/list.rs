use clap::Args;

use super::execute::RowFormat;

#[derive(Debug, Args)]
pub struct ListSettings {
    /// Form of the rows on stdout.
    #[arg(long, value_enum, default_value_t)]
    pub output: RowFormat,
}
