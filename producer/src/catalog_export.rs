//! Prints the builtin catalog, so that a database can be seeded with the users and products of `--source builtin`.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context;
use shared::catalog::{Product, SyntheticProducts, SyntheticUsers, User};

use crate::settings::{CatalogFormat, CatalogSettings};

/// Rows of one INSERT statement.
const ROWS_PER_INSERT: usize = 1_000;
const USERS_TABLE: &str = "users (user_id, name, gender, age, age_group, region, join_date)";
const PRODUCTS_TABLE: &str = "products (product_id, name, category, brand, price, org_price, discount_rate, stock)";

/// Prints the catalog to stdout. A reader that closes the pipe early, such as `head`, is not an error.
///
/// # Errors
/// When stdout can't be written.
pub fn print(settings: &CatalogSettings) -> anyhow::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    match write(settings, &mut output).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the catalog can't be written to stdout"),
    }
}

fn write(settings: &CatalogSettings, output: &mut impl Write) -> io::Result<()> {
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let users = SyntheticUsers::new(settings.catalog_seed, settings.locale).take(count(settings.users));
    let products = SyntheticProducts::new(settings.catalog_seed).take(count(settings.products));
    match settings.output {
        CatalogFormat::Sql => write_sql(users, products, output),
        CatalogFormat::Jsonl => write_jsonl(users, products, output),
    }
}

fn write_jsonl(
    mut users: impl Iterator<Item = User>,
    mut products: impl Iterator<Item = Product>,
    output: &mut impl Write,
) -> io::Result<()> {
    users.try_for_each(|user| writeln!(output, "{}", serde_json::to_string(&user)?))?;
    products.try_for_each(|product| writeln!(output, "{}", serde_json::to_string(&product)?))
}

fn write_sql(
    users: impl Iterator<Item = User>,
    products: impl Iterator<Item = Product>,
    output: &mut impl Write,
) -> io::Result<()> {
    // psql assumes the encoding of the locale otherwise.
    writeln!(output, "SET client_encoding = 'UTF8';")?;
    write_inserts(USERS_TABLE, users.map(|user| user_values(&user)), output)?;
    write_inserts(PRODUCTS_TABLE, products.map(|product| product_values(&product)), output)
}

fn write_inserts(table: &str, rows: impl Iterator<Item = String>, output: &mut impl Write) -> io::Result<()> {
    let mut rows = rows.peekable();
    while rows.peek().is_some() {
        writeln!(output, "INSERT INTO {table} VALUES")?;
        for (position, row) in rows.by_ref().take(ROWS_PER_INSERT).enumerate() {
            let separator = if position == 0 { "" } else { ",\n" };
            write!(output, "{separator}({row})")?;
        }
        writeln!(output, "\nON CONFLICT DO NOTHING;")?;
    }
    Ok(())
}

fn user_values(user: &User) -> String {
    let User { user_id, name, gender, age, age_group, region, join_date } = user;
    let (id, name, gender) = (literal(user_id.as_str()), literal(name), literal(gender));
    format!("{id}, {name}, {gender}, {age}, {}, {}, '{join_date}'", literal(age_group), literal(region))
}

fn product_values(product: &Product) -> String {
    let Product { product_id, name, category, brand, price, org_price, discount_rate, stock } = product;
    let (id, name) = (literal(product_id.as_str()), literal(name));
    let (category, brand) = (literal(category), literal(brand));
    format!("{id}, {name}, {category}, {brand}, {price}, {org_price}, {discount_rate}, {stock}")
}

/// `text` as a string constant of PostgreSQL. A backslash needs the form `E'…'`, which does not depend on the setting
/// `standard_conforming_strings`.
fn literal(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", escaped.replace('\\', "\\\\")) } else { format!("'{escaped}'") }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
    use shared::catalog::Locale;

    use super::*;
    use crate::sample::{BuiltinCatalog, Catalog, Popularity, Samples};

    fn exported(output: CatalogFormat, users: u64, products: u64) -> String {
        let settings = CatalogSettings { output, users, products, catalog_seed: 7, locale: Locale::KoKr };
        let mut bytes = Vec::new();
        write(&settings, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_string_constant_is_quoted_and_escaped() {
        for (text, expected) in [
            ("Kim", "'Kim'"),
            ("", "''"),
            ("O'Brien", "'O''Brien'"),
            ("'; DROP TABLE users; --", "'''; DROP TABLE users; --'"),
            (r"a\'b", r"E'a\\''b'"),
            ("미상", "'미상'"),
        ] {
            assert_eq!(literal(text), expected);
        }
        let user = User {
            user_id: "U1".into(),
            name: "Sinéad O'Connor".to_owned(),
            gender: "F".to_owned(),
            age: 20,
            age_group: "20대".to_owned(),
            region: "서울".to_owned(),
            join_date: "2026-01-01".parse().unwrap(),
        };
        assert_eq!(user_values(&user), "'U1', 'Sinéad O''Connor', 'F', 20, '20대', '서울', '2026-01-01'");
    }

    #[test]
    fn sql_has_every_row_in_batches_that_keep_existing_rows() {
        let sql = exported(CatalogFormat::Sql, 2_500, 1_000);
        assert_eq!(sql.matches("INSERT INTO users (").count(), 3);
        assert_eq!(sql.matches("INSERT INTO products (").count(), 1);
        assert_eq!(sql.matches("\nON CONFLICT DO NOTHING;\n").count(), 4);
        assert_eq!((sql.matches("\n('U").count(), sql.matches("\n('P").count()), (2_500, 1_000));
        let first = SyntheticProducts::new(7).next().unwrap();
        assert!(sql.contains(&format!("\n({}),\n", product_values(&first))), "{first:?}");
        assert_eq!(exported(CatalogFormat::Sql, 0, 0), "SET client_encoding = 'UTF8';\n");
    }

    #[test]
    fn jsonl_is_a_catalog_file_with_the_users_and_products_of_the_builtin_source() {
        let jsonl = exported(CatalogFormat::Jsonl, 30, 20);
        let lines: Vec<&str> = jsonl.lines().collect();
        let users: Vec<User> = lines[..30].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let products: Vec<Product> = lines[30..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(users, SyntheticUsers::new(7, Locale::KoKr).take(30).collect::<Vec<_>>());
        assert_eq!(products, SyntheticProducts::new(7).take(20).collect::<Vec<_>>());

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &jsonl).unwrap();
        let popularity = Popularity::Zipf(1.1);
        let builtin = Catalog::builtin(BuiltinCatalog { users: 30, products: 20, seed: 7 }, popularity).unwrap();
        let mut sources = [Catalog::read(file.path(), popularity).unwrap(), builtin].map(Samples::Catalog);
        let (now, random) = (Instant::now(), Xoshiro256PlusPlus::seed_from_u64(1));
        let [read, builtin] = sources.each_mut().map(|samples| {
            let mut random = random.clone();
            let mut draw = || {
                let (user, product) = samples.next(now, &mut random);
                (user.clone(), product.clone())
            };
            (0..500).map(|_| draw()).collect::<Vec<_>>()
        });
        assert_eq!(read, builtin);
    }
}
