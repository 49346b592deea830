//! The imports between the files of a crate, read from their `use` declarations and paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItemFn, Item, ItemMod, ItemUse, UseTree, VisRestricted,
    visit::{self, Visit},
};

/// A module path, from the root of the crate, which is empty.
type Module = Vec<String>;

/// The names that one file imports from another, by both files.
pub type Imports = BTreeMap<(String, String), BTreeSet<String>>;

/// Reads all imports between the `sources` (path below `src/`, content) of crate `name`. Imports of a file from itself,
/// of other crates and in `#[cfg(test)]` code are left out.
pub fn read(name: &str, sources: &[(String, String)]) -> Imports {
    let parsed: Vec<(Module, &str, syn::File)> = sources
        .iter()
        .map(|(path, source)| (module_of(path), path.as_str(), syn::parse_file(source).expect(path)))
        .collect();
    let mut tests = BTreeSet::new();
    for (module, _, file) in &parsed {
        for item in file.items.iter().filter(|item| is_test(attributes(item))) {
            if let Item::Mod(ItemMod { ident, .. }) = item {
                tests.insert(child(module, &ident.to_string()));
            }
        }
    }
    let is_in_tests = |module: &Module| (1..=module.len()).any(|length| tests.contains(&module[..length]));
    let files: BTreeMap<Module, &str> = parsed.iter().map(|(module, path, _)| (module.clone(), *path)).collect();
    let mut imports = Imports::new();
    for (module, path, file) in parsed.iter().filter(|(module, ..)| !is_in_tests(module)) {
        let crate_name = name.replace('-', "_");
        let mut reader =
            Reader { crate_name, files: &files, path, module: module.clone(), names: BTreeMap::new(), imports };
        // Twice, since a path may begin with a name that a later `use` declaration brings into scope.
        reader.visit_file(file);
        reader.visit_file(file);
        imports = reader.imports;
    }
    imports
}

/// The module of a file: `sink/insert.rs` is `sink::insert`, `sink/mod.rs` is `sink`, `lib.rs` is the root.
fn module_of(path: &str) -> Module {
    let mut module: Module =
        Path::new(path).with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path == "lib.rs" || path.ends_with("/mod.rs") {
        module.pop();
    }
    module
}

fn child(module: &[String], name: &str) -> Module {
    [module, &[name.to_owned()]].concat()
}

struct Reader<'a> {
    crate_name: String,
    files: &'a BTreeMap<Module, &'a str>,
    /// The file that is read.
    path: &'a str,
    /// The module that is read: that of the file, or an inline module in it.
    module: Module,
    /// The names that `use` declarations of the file bring into scope, with their full paths.
    names: BTreeMap<String, Vec<String>>,
    imports: Imports,
}

impl Reader<'_> {
    /// The path from the root of this crate; `None` when it is not of this crate, or is a local name.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => {
                let levels = path.iter().take_while(|segment| *segment == "super").count();
                let parent = &self.module[..self.module.len().checked_sub(levels)?];
                return Some([parent, &path[levels..]].concat());
            }
            name if name == self.crate_name => Vec::new(),
            name if self.files.contains_key(&child(&self.module, name)) => child(&self.module, name),
            name => self.names.get(name)?.clone(),
        };
        Some([start, rest.to_vec()].concat())
    }

    /// Records the import of `path` from the deepest module on it that has a file of its own.
    fn import(&mut self, path: &[String]) {
        let Some(path) = self.resolve(path) else { return };
        let Some((length, file)) =
            (0..=path.len()).rev().find_map(|length| Some((length, *self.files.get(&path[..length])?)))
        else {
            return;
        };
        if file != self.path {
            let name = path.get(length).or(path.last()).map_or("crate", String::as_str);
            self.imports.entry((self.path.to_owned(), file.to_owned())).or_default().insert(name.to_owned());
        }
    }

    fn import_tree(&mut self, prefix: &[String], tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.import_tree(&child(prefix, &path.ident.to_string()), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import_tree(prefix, tree)),
            UseTree::Glob(_) => self.import(&child(prefix, "*")),
            UseTree::Name(name) if name.ident == "self" => self.import_as(prefix, prefix.last().cloned()),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.import_as(&child(prefix, &name), Some(name));
            }
            UseTree::Rename(rename) => {
                self.import_as(&child(prefix, &rename.ident.to_string()), Some(rename.rename.to_string()));
            }
        }
    }

    fn import_as(&mut self, path: &[String], name: Option<String>) {
        self.import(path);
        if let (Some(name), Some(path)) = (name, self.resolve(path)) {
            self.names.insert(name, path);
        }
    }

    /// Finds paths in the tokens of a macro or an attribute, which are not parsed.
    fn import_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Vec::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.import_qualified(&std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                token => {
                    self.import_qualified(&std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = token {
                        self.import_tokens(group.stream());
                    }
                }
            }
        }
        self.import_qualified(&path);
    }

    /// Records the import of a path outside of a `use` declaration. A single name is a local variable, or a name that a
    /// `use` declaration has imported.
    fn import_qualified(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.import(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.import_qualified(&segments);
        }
        visit::visit_path(self, path);
    }

    /// `pub(super)` and `pub(in crate::sink)` import nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.import_tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.import_tokens(list.tokens.clone());
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            condition == "test" || condition.starts_with("all (test")
        }
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
