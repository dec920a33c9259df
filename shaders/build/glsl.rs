//! What a shader's text says beside its code: pragmas, which GLSL ignores, and constants.
//!
//! - `#pragma variants f32: ; f16: HALF` names variants and their defines. Variants with another
//!   interface have a line of their own: `#pragma variants(part) f32: PART; f16: PART HALF`.
//! - `#pragma enum Name` makes the `const uint` lines that follow the members of a Rust enum.
//! - `#pragma types A: bool; B: Name` gives specialization constants a Rust type: `bool` or an enum.
//! - `#pragma group Name: A B C` makes specialization constants one Rust struct.
//! - `#pragma bindings Name` names the Rust struct of what is bound, `#pragma bindings(part) Name` that of
//!   other variants, where several kernels share it.
//!
//! Top-level constants with a value that Rust can compute are constants there too.

use std::collections::BTreeSet;

/// Variants of one file that have one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variants {
    /// Empty for the first.
    pub(crate) group: String,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) defines: Vec<String>,
}

/// Members are names and numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) doc: Vec<String>,
    pub(crate) members: Vec<EnumMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnumMember {
    /// As Rust spells it.
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) doc: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Const {
    pub(crate) name: String,
    /// As Rust spells it.
    pub(crate) ty: &'static str,
    /// The expression, which both languages read alike.
    pub(crate) value: String,
    pub(crate) doc: Vec<String>,
}

/// The Rust type of a specialization constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    pub(crate) constant: String,
    pub(crate) ty: String,
}

/// Specialization constants that are one struct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) constants: Vec<String>,
}

/// The struct of what variants bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bindings {
    /// Of variants.
    pub(crate) group: String,
    pub(crate) name: String,
}

/// What one file declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) includes: Vec<String>,
    pub(crate) variants: Vec<Variants>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) consts: Vec<Const>,
    pub(crate) types: Vec<Typed>,
    pub(crate) groups: Vec<Group>,
    pub(crate) bindings: Vec<Bindings>,
}

/// Reads the text of one file.
pub(crate) fn scan(text: &str) -> Result<Declared, String> {
    let mut found = Declared::default();
    let (mut doc, mut in_enum) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("//") {
            doc.push(comment.trim().to_owned());
            continue;
        }
        if let Some(rest) = line.strip_prefix("const ") {
            constant(rest, &doc, in_enum, &mut found)?;
        } else {
            in_enum = false;
        }
        if let Some(rest) = line.strip_prefix("#pragma ") {
            in_enum = pragma(rest, &doc, &mut found)?;
        } else if let Some(rest) = line.strip_prefix("#include ") {
            found
                .includes
                .push(rest.trim().trim_matches('"').to_owned());
        }
        doc.clear();
    }
    Ok(found)
}

/// Whether an enum begins.
fn pragma(rest: &str, doc: &[String], found: &mut Declared) -> Result<bool, String> {
    let wrong = || format!("#pragma {rest}: not understood");
    let end = rest.find([' ', '(']).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(end);
    match word {
        "bindings" => {
            let (group, name) = of_group(rest).ok_or_else(wrong)?;
            found.bindings.push(Bindings {
                group: group.to_owned(),
                name: name.trim().to_owned(),
            });
        }
        "variants" => {
            let (group, list) = of_group(rest).ok_or_else(wrong)?;
            found.variants.push(Variants {
                group: group.to_owned(),
                variants: pairs(list, ';')
                    .map(|(name, defines)| Variant {
                        name: name.to_owned(),
                        defines: defines.split_whitespace().map(str::to_owned).collect(),
                    })
                    .collect(),
            });
        }
        "enum" => {
            found.enums.push(Enum {
                name: rest.trim().to_owned(),
                doc: doc.to_vec(),
                members: Vec::new(),
            });
            return Ok(true);
        }
        "types" => found.types.extend(pairs(rest, ';').map(|(name, ty)| Typed {
            constant: name.to_owned(),
            ty: ty.to_owned(),
        })),
        "group" => {
            let (name, constants) = rest.split_once(':').ok_or_else(wrong)?;
            found.groups.push(Group {
                name: name.trim().to_owned(),
                constants: constants.split_whitespace().map(str::to_owned).collect(),
            });
        }
        "use_vulkan_memory_model" => {}
        _ => return Err(wrong()),
    }
    Ok(false)
}

/// The name of a group of variants, `(part)`, which may be absent, and what follows.
fn of_group(rest: &str) -> Option<(&str, &str)> {
    match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')'),
        None => Some(("", rest)),
    }
}

/// `name: value` of each part.
fn pairs(list: &str, separator: char) -> impl Iterator<Item = (&str, &str)> {
    list.split(separator)
        .map(|part| part.split_once(':').unwrap_or((part, "")))
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| !name.is_empty())
}

/// `uint NAME = value;`, after `const`.
fn constant(rest: &str, doc: &[String], in_enum: bool, found: &mut Declared) -> Result<(), String> {
    let Some((declared, value)) = rest.split_once('=') else {
        return Ok(());
    };
    let Some((value, comment)) = value.split_once(';') else {
        return Ok(());
    };
    let mut doc = doc.to_vec();
    doc.extend(
        comment
            .trim()
            .strip_prefix("//")
            .map(|c| c.trim().to_owned()),
    );
    let (ty, name) = declared.trim().split_once(' ').unwrap_or(("", ""));
    let name = name.trim();
    if let (true, Some(last)) = (in_enum, found.enums.last_mut()) {
        let number = value.trim().trim_end_matches('u');
        let number = number
            .parse()
            .map_err(|_| format!("{name} of enum {} is not a number: {value}", last.name))?;
        let prefix = format!("{}_", snake(&last.name).to_uppercase());
        last.members.push(EnumMember {
            name: camel(&name.strip_prefix(&prefix).unwrap_or(name).to_lowercase()),
            number,
            doc,
        });
        return Ok(());
    }
    let ty = match ty {
        "uint" => "u32",
        "int" => "i32",
        "float" => "f32",
        _ => return Ok(()),
    };
    if let (false, Some(value)) = (name.contains('['), in_rust(value)) {
        found.consts.push(Const {
            name: name.to_owned(),
            ty,
            value,
            doc,
        });
    }
    Ok(())
}

/// An expression of numbers, names and arithmetic, without the suffix of unsigned numbers.
fn in_rust(value: &str) -> Option<String> {
    let mut text = String::new();
    for word in words(value) {
        let first = word.chars().next()?;
        let number = word.strip_suffix('u').filter(|_| first.is_ascii_digit());
        if !first.is_ascii_alphanumeric() && !"_+-*/%()|. ".contains(first) {
            return None;
        }
        text += number.unwrap_or(word);
    }
    Some(text.trim().to_owned())
}

/// Names, numbers and single other characters.
fn words(text: &str) -> Vec<&str> {
    let of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match of_word(first) {
            true => rest.find(|c| !of_word(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        found.push(&rest[..end]);
        rest = &rest[end..];
    }
    found
}

/// Names in an expression.
pub(crate) fn names(value: &str) -> impl Iterator<Item = &str> {
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    words(value).into_iter().filter(is_name)
}

/// Those of `consts` that name nothing but one another and what is `known`: the others depend on
/// specialization constants.
pub(crate) fn computable(consts: &[Const], known: &BTreeSet<String>) -> Vec<Const> {
    let mut known = known.clone();
    let mut kept = Vec::new();
    for constant in consts {
        if names(&constant.value).all(|name| known.contains(name)) {
            known.insert(constant.name.clone());
            kept.push(constant.clone());
        }
    }
    kept
}

/// `conv2d_part` as `Conv2dPart`.
pub(crate) fn camel(name: &str) -> String {
    name.split('_')
        .filter(|part| !part.is_empty())
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

/// `LastKind` as `last_kind`.
pub(crate) fn snake(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
