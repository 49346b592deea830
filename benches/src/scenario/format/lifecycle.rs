//! The key `lifecycle`: the file is read here, so that a wrong one is refused before anything starts.

use std::{fs, path::PathBuf};

use producer::lifecycle;

use super::{
    tree::{Node, Value},
    values::wrong,
};
use crate::scenario::{error::Problem, model::Lifecycle};

/// True for the producer's default, or a text with the path of a file.
pub fn read(node: &Node) -> Result<Option<Lifecycle>, Problem> {
    let (file, text) = match &node.value {
        Value::Bool(false) => return Ok(None),
        Value::Bool(true) => (None, lifecycle::default_text().to_owned()),
        Value::String(path) if !path.trim().is_empty() => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| refused(node, path, "the file can't be read", &error.to_string()))?;
            (Some(PathBuf::from(path)), text)
        }
        _ => return Err(wrong(node, "lifecycle", "true, false, or a text with the path of a file")),
    };
    let name = file.as_ref().map_or_else(|| "default.toml".to_owned(), |file| file.display().to_string());
    let read = lifecycle::read(&name, &text);
    let read = read.map_err(|error| refused(node, &name, "the file is no lifecycle", &error.to_string()))?;
    Ok(Some(Lifecycle { file, longest: read.longest().0 }))
}

fn refused(node: &Node, file: &str, label: &str, cause: &str) -> Problem {
    let help = format!("{cause}\n`producer lifecycle` prints an example");
    Problem::new(&node.span, format!("`lifecycle` can't be {file:?}"), label).help(help)
}
