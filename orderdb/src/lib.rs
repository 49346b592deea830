//! The tool for the database. [`migrate`] creates its schema, [`seed`] fills it with users and products, and [`audit`]
//! compares a producer run with what arrived in Kafka and in the table. [`check`] says which services work, [`list`] and
//! [`status`] what the databases are, [`debug`] which settings are used. [`validate`] compares the schema with the
//! migrations, [`pull`] prints it, [`reset`] empties it, and [`index`] adds indexes. [`execute`] runs one statement, and
//! [`rows`] creates, shows, changes and deletes rows. A command is for one or all of the [`databases`], of which each may
//! have [`own_files`]. The command line is in [`settings`].

pub mod audit;
pub mod check;
pub mod databases;
pub mod debug;
pub mod execute;
pub mod index;
mod latency;
pub mod list;
pub mod migrate;
mod migration_counts;
pub mod own_files;
pub mod pull;
pub mod reset;
mod row_writer;
pub mod rows;
pub mod seed;
mod server;
pub mod session;
pub mod settings;
pub mod status;
pub mod validate;
