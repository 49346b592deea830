//! Reads a catalog file: users and products in any order, one JSON object per line. Empty lines are skipped.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use anyhow::{Context, ensure};
use shared::catalog::{CatalogRow, Product, User};

use crate::settings::InputFile;

/// The rows of a file.
#[derive(Debug, Default)]
pub struct CatalogRows {
    pub users: Vec<User>,
    pub products: Vec<Product>,
}

/// Reads `file` to its end and checks each row. Blocks.
///
/// # Errors
/// When the file can't be read, has no users or no products, or has a line that is broken or that a table would refuse.
/// The error names the file and the line.
pub fn read_catalog(file: &InputFile) -> anyhow::Result<CatalogRows> {
    match file {
        InputFile::StandardInput => read_rows(io::stdin().lock(), file),
        InputFile::Path(path) => {
            let opened = File::open(path).with_context(|| format!("catalog {file} can't be opened"))?;
            read_rows(BufReader::new(opened), file)
        }
    }
}

fn read_rows(input: impl BufRead, file: &InputFile) -> anyhow::Result<CatalogRows> {
    let mut catalog = CatalogRows::default();
    for (number, line) in (1_u64..).zip(input.split(b'\n')) {
        let line = line.with_context(|| format!("catalog {file}, line {number} can't be read"))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match CatalogRow::from_json(&line).with_context(|| format!("catalog {file}, line {number}"))? {
            CatalogRow::User(user) => catalog.users.push(user),
            CatalogRow::Product(product) => catalog.products.push(product),
        }
    }
    ensure!(!catalog.users.is_empty(), "catalog {file} has no users: a user is a line with a user_id");
    ensure!(!catalog.products.is_empty(), "catalog {file} has no products: a product is a line with a product_id");
    Ok(catalog)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = concat!(
        r#"{"user_id":"U1","name":"n","gender":"F","age":33,"age_group":"30대","region":"서울","#,
        r#""join_date":"2024-02-29"}"#
    );
    const PRODUCT: &str = concat!(
        r#"{"product_id":"P1","name":"n","category":"c","brand":"b","price":900,"org_price":1000,"#,
        r#""discount_rate":0.1,"stock":5}"#
    );

    fn read(content: &str) -> Result<CatalogRows, String> {
        let file = InputFile::Path("dir/a.jsonl".into());
        read_rows(content.as_bytes(), &file).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn rows_may_be_in_any_order_and_between_empty_lines() {
        let catalog = read(&format!("{PRODUCT}\r\n\n{USER}\n  \n{PRODUCT}\n{USER}\n{USER}")).unwrap();
        assert_eq!((catalog.users.len(), catalog.products.len()), (3, 2));
    }

    #[test]
    fn a_broken_line_is_named_by_file_and_number() {
        let error = read(&format!("{USER}\n\n{PRODUCT}\n{{\"user_id\": 1\n{USER}")).unwrap_err();
        assert!(error.starts_with("catalog dir/a.jsonl, line 4: EOF while parsing"), "{error}");
        let error = read(&format!("{USER}\n{}", PRODUCT.replace("900", "-900"))).unwrap_err();
        assert_eq!(error, "catalog dir/a.jsonl, line 2: price is -900: the table accepts 0 to 2147483647");
    }

    #[test]
    fn a_file_without_users_or_without_products_is_refused() {
        for (content, missing) in [("", "users"), ("\n", "users"), (PRODUCT, "users"), (USER, "products")] {
            let error = read(content).unwrap_err();
            assert!(error.starts_with(&format!("catalog dir/a.jsonl has no {missing}")), "{error}");
        }
    }

    #[test]
    fn a_file_that_does_not_exist_is_named() {
        let error = read_catalog(&InputFile::Path("no/such.jsonl".into())).unwrap_err();
        assert_eq!(error.to_string(), "catalog no/such.jsonl can't be opened");
    }
}
