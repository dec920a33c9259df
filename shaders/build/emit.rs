//! Rust for what was found: `kernels.rs`, a module for each kernel and one for what they share.

use crate::glsl::{self, Const, Declared, Enum, Group};
use crate::interface::{BindingKind, Generic, Interface, Scalar, Struct, Structs, Type};
use std::collections::{BTreeMap, BTreeSet};

/// Variants of one file that are called alike: a module.
pub(crate) struct Family {
    /// The file's name.
    pub(crate) stem: String,
    /// Empty, or the name behind `#pragma variants`.
    pub(crate) group: String,
    pub(crate) variants: Vec<Shader>,
    pub(crate) interface: Interface,
    /// What the file itself declares.
    pub(crate) own: Declared,
    /// What the files that it includes declare, directly or not.
    pub(crate) included: Vec<Declared>,
}

/// One variant.
pub(crate) struct Shader {
    pub(crate) variant: glsl::Variant,
    /// `CopyHalf`.
    pub(crate) name: String,
    /// What it binds as 0, 1, 2, ...
    pub(crate) kinds: Vec<BindingKind>,
}

impl Family {
    pub(crate) fn module(&self) -> String {
        match self.group.as_str() {
            "" => self.stem.clone(),
            group => format!("{}_{group}", self.stem),
        }
    }

    /// The declarations that hold here, the file's own first.
    fn declared(&self) -> impl Iterator<Item = &Declared> {
        std::iter::once(&self.own).chain(&self.included)
    }

    /// The Rust type of the constant `name`.
    fn type_of(&self, name: &str, scalar: Scalar) -> Result<String, String> {
        let mut types = self.declared().flat_map(|d| &d.types);
        let Some(typed) = types.find(|typed| typed.constant == name) else {
            return Ok(scalar.to_string());
        };
        if scalar != Scalar::U32 {
            return Err(format!("{name} is {scalar} and cannot be {}", typed.ty));
        }
        let is = |e: &Enum| e.name == typed.ty;
        if typed.ty == "bool" || self.own.enums.iter().any(is) {
            return Ok(typed.ty.clone());
        }
        match self.included.iter().flat_map(|d| &d.enums).any(is) {
            true => Ok(format!("lib::{}", typed.ty)),
            false => Err(format!(
                "{name} is of type {}, which no file declares",
                typed.ty
            )),
        }
    }

    fn group_of(&self, constant: &str) -> Option<&Group> {
        let mut groups = self.declared().flat_map(|d| &d.groups);
        groups.find(|group| group.constants.iter().any(|name| name == constant))
    }
}

/// Fields of a struct: name and type.
type Fields = Vec<(String, String)>;

/// Structs of `lib` that several kernels agree on.
#[derive(Default)]
struct Shared {
    groups: BTreeMap<String, Fields>,
    bindings: BTreeMap<String, Fields>,
}

impl Shared {
    fn add_bindings(&mut self, name: &str, fields: Fields) -> Result<(), String> {
        let agreed = self.bindings.entry(name.to_owned());
        let agreed = agreed.or_insert_with(|| fields.clone());
        match *agreed == fields {
            true => Ok(()),
            false => Err(format!(
                "{name} binds {agreed:?} elsewhere, {fields:?} here"
            )),
        }
    }
}

/// All of `kernels.rs`. `lib` is what the files of `shaders/lib` declare.
pub(crate) fn kernels(families: &[Family], lib: &[Declared]) -> Result<String, String> {
    let mut structs = Structs::default();
    for family in families {
        let push = &family.interface.push;
        for member in &push.members {
            if let Type::Struct(inner) = &member.ty {
                structs.add(inner);
            }
        }
        if push.name != "Push" {
            structs.add(push);
        }
    }
    let mut shared = Shared::default();
    let mut modules = String::new();
    let mut done: Vec<&Family> = Vec::new();
    for family in families {
        let first = done.iter().find(|f| f.stem == family.stem).copied();
        modules += &module(family, first, &structs, &mut shared)
            .map_err(|e| format!("{}.comp: {e}", family.stem))?;
        done.push(family);
    }
    Ok(format!("{}{modules}", library(lib, &structs, &shared)?))
}

fn library(lib: &[Declared], structs: &Structs, shared: &Shared) -> Result<String, String> {
    let mut text = String::new();
    let enums: Vec<_> = lib.iter().flat_map(|d| d.enums.clone()).collect();
    for e in &enums {
        text += &enumeration(e);
    }
    let consts: Vec<_> = lib.iter().flat_map(|d| d.consts.clone()).collect();
    let consts = glsl::computable(&consts, &BTreeSet::new());
    text += &constants(&consts);
    for generic in structs.generic()? {
        text += &structure_of(&generic, structs)?;
    }
    for (name, fields) in &shared.groups {
        text += &structure(name, "", fields);
    }
    for (name, fields) in &shared.bindings {
        text += &record(name, "<B>", fields);
    }
    let mut names: Vec<_> = consts.iter().map(|c| &c.name).collect();
    names.extend(enums.iter().map(|e| &e.name));
    names.extend(shared.groups.keys().chain(shared.bindings.keys()));
    let distinct: BTreeSet<_> = names.iter().collect();
    if distinct.len() != names.len() {
        return Err(format!(
            "two things in shaders/lib have one name: {names:?}"
        ));
    }
    Ok(format!(
        "/// What kernels share: `shaders/lib`.\npub mod lib {{\n\
         use crate::core::kernels::Words;\n{text}}}\n"
    ))
}

fn module(
    family: &Family,
    first: Option<&Family>,
    structs: &Structs,
    shared: &mut Shared,
) -> Result<String, String> {
    let Interface {
        bindings,
        push,
        constants: specialized,
        workgroup: size,
    } = &family.interface;
    let mut text = String::new();
    let mut known = BTreeSet::new();
    for declared in &family.included {
        known.extend(declared.consts.iter().map(|c| c.name.clone()));
    }
    if let Some(first) = first {
        text += &format!("pub use super::{}::*;\n", first.module());
    } else {
        for e in &family.own.enums {
            text += &enumeration(e);
        }
        let own = glsl::computable(&family.own.consts, &known);
        if own
            .iter()
            .any(|c| glsl::names(&c.value).any(|n| known.contains(n)))
        {
            text += "use super::lib::*;\n";
        }
        text += &constants(&own);
    }
    text += &variants(family);

    let same = |of: fn(&Interface) -> &Struct| first.is_some_and(|f| of(&f.interface) == push);
    if push.name != "Push" {
        text += &format!("pub use super::lib::{} as Push;\n", push.name);
    } else if !same(|i| &i.push) {
        text += &structure("Push", "", &fields_of(push, structs, "lib::")?);
    }
    text += &format!(
        "const _: () = assert!(std::mem::size_of::<Push>() == {});\n",
        4 * push.words()
    );
    if first.is_none_or(|f| f.interface.constants != *specialized) {
        text += &spec(family, shared)?;
        text += &workgroup(family)?;
    } else if first.is_some_and(|f| f.interface.workgroup != *size) {
        return Err("variants with the same constants have other workgroups".into());
    }
    let bound = bindings.iter().map(|b| (b.name.clone(), "B".to_owned()));
    let bound: Fields = bound.collect();
    let of_group = |b: &&glsl::Bindings| b.group == family.group;
    match family.own.bindings.iter().find(of_group) {
        None => text += &record("Bindings", "<B>", &bound),
        Some(named) => {
            text += &format!("pub use super::lib::{} as Bindings;\n", named.name);
            shared.add_bindings(&named.name, bound)?;
        }
    }
    let list: Vec<_> = bindings
        .iter()
        .map(|b| format!("bound.{}", b.name))
        .collect();
    text += &format!(
        "/// A call.\n#[derive(Clone, Debug)]\npub struct Call<B> {{\n\
         pub variant: Variant, pub spec: Spec, pub push: Push, pub bindings: Bindings<B> }}\n\
         impl<B> KernelCall for Call<B> {{\ntype Bind = B;\n\
         fn shader(&self) -> Shader {{ self.variant.shader() }}\n\
         fn shared_bytes(&self) -> u64 {{ self.spec.workgroup().shared_bytes() }}\n\
         fn threads(&self) -> Option<u64> {{ {} }}\n\
         fn spec(&self) -> Vec<u32> {{ self.spec.words() }}\n\
         fn push(&self) -> Vec<u32> {{ self.push.words() }}\n\
         fn into_bindings(self) -> Vec<B> {{ let bound = self.bindings; vec![{}] }}\n}}\n",
        match size.threads {
            None => "None",
            Some(_) => "Some(self.spec.workgroup().threads())",
        },
        list.join(", ")
    );
    Ok(format!(
        "/// `shaders/{}.comp`.\npub mod {} {{\n\
         use super::{{lib, KernelCall, Words}};\nuse crate::core::shader::Shader;\n{text}}}\n",
        family.stem,
        family.module()
    ))
}

fn variants(family: &Family) -> String {
    let mut members = String::new();
    let mut shaders = String::new();
    for shader in &family.variants {
        let name = glsl::camel(&shader.variant.name);
        members += &format!("/// {:?}\n{name},\n", shader.variant.defines);
        shaders += &format!("Self::{name} => Shader::{},\n", shader.name);
    }
    let mut text = format!(
        "/// What the file is compiled as.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\npub enum Variant {{\n{members}}}\n\
         impl Variant {{\npub fn shader(self) -> Shader {{ match self {{\n{shaders}}} }}\n"
    );
    if let [full, half] = family.variants.as_slice() {
        let mut defines = full.variant.defines.clone();
        defines.push("HALF".into());
        if half.variant.defines == defines {
            let [full, half] = [full, half].map(|s| glsl::camel(&s.variant.name));
            text += &format!(
                "/// The variant that has 16-bit elements, or the one that has none.\n\
                 pub fn with_half(half: bool) -> Self {{\n\
                 if half {{ Self::{half} }} else {{ Self::{full} }}\n}}\n"
            );
        }
    }
    text + "}\n"
}

/// `Spec`, and the structs of groups.
fn spec(family: &Family, shared: &mut Shared) -> Result<String, String> {
    let mut fields: Fields = Vec::new();
    let mut words = String::new();
    let mut seen: BTreeMap<String, Fields> = BTreeMap::new();
    for constant in &family.interface.constants {
        let name = constant.name.to_lowercase();
        let ty = family.type_of(&constant.name, constant.ty)?;
        let Some(group) = family.group_of(&constant.name) else {
            words += &format!("self.{name}.push_to(words);\n");
            fields.push((name, ty));
            continue;
        };
        let field = glsl::snake(&group.name);
        words += &format!("self.{field}.{name}.push_to(words);\n");
        if !seen.contains_key(&group.name) {
            fields.push((field, format!("lib::{}", group.name)));
        }
        let of_group = seen.entry(group.name.clone()).or_default();
        of_group.push((name, ty.replace("lib::", "")));
        if family.own.groups.contains(group) {
            return Err(format!("group {} belongs into shaders/lib", group.name));
        }
    }
    for (name, fields) in seen {
        let named = family
            .declared()
            .flat_map(|d| &d.groups)
            .find(|g| g.name == name);
        let all = named.is_some_and(|group| group.constants.len() == fields.len());
        let agreed = shared.groups.entry(name.clone());
        let agreed = agreed.or_insert_with(|| fields.clone());
        if !all || *agreed != fields {
            return Err(format!(
                "group {name} is {agreed:?} elsewhere, {fields:?} here"
            ));
        }
    }
    for typed in &family.own.types {
        let mut constants = family.interface.constants.iter();
        if family.group.is_empty() && !constants.any(|c| c.name == typed.constant) {
            return Err(format!("{} has a type and does not exist", typed.constant));
        }
    }
    let mut text = record("Spec", "", &fields);
    text += &format!(
        "impl Words for Spec {{\nfn push_to(&self, words: &mut Vec<u32>) {{\n{words}\
         let _ = words;\n}}\n}}\n"
    );
    Ok(text)
}

/// What follows from those constants that set the size of a workgroup.
fn workgroup(family: &Family) -> Result<String, String> {
    let workgroup = &family.interface.workgroup;
    let mut fields: Fields = Vec::new();
    let mut copies = String::new();
    for name in &workgroup.constants {
        let ty = family.type_of(name, Scalar::U32)?;
        if ty != "u32" {
            return Err(format!(
                "the size of a workgroup depends on {name}, which is {ty}"
            ));
        }
        let group = family
            .group_of(name)
            .map(|group| glsl::snake(&group.name) + ".");
        let name = name.to_lowercase();
        copies += &format!("{name}: self.{}{name}, ", group.unwrap_or_default());
        fields.push((name, ty));
    }
    let threads = workgroup.threads.as_ref();
    let threads = threads.map(|threads| {
        format!("/// Its invocations.\npub fn threads(&self) -> u64 {{\n{threads}\n}}\n")
    });
    Ok(format!(
        "{}impl Workgroup {{\n/// Memory that it shares.\n\
         pub fn shared_bytes(&self) -> u64 {{\n{}\n}}\n{}}}\n\
         impl Spec {{\n/// What sets the size of a workgroup.\n\
         pub fn workgroup(&self) -> Workgroup {{ Workgroup {{ {copies} }} }}\n}}\n",
        record("Workgroup", "", &fields),
        workgroup.shared_bytes,
        threads.unwrap_or_default()
    ))
}

fn fields_of(of: &Struct, structs: &Structs, path: &str) -> Result<Fields, String> {
    let mut fields = Vec::new();
    for member in &of.members {
        let ty = match &member.ty {
            Type::Scalar(scalar) => scalar.to_string(),
            Type::Array(scalar, length) => format!("[{scalar}; {length}]"),
            Type::Struct(inner) => format!("{path}{}", structs.spelled(inner)?),
        };
        fields.push((member.name.clone(), ty));
    }
    Ok(fields)
}

/// A struct of `lib`.
fn structure_of(generic: &Generic<'_>, structs: &Structs) -> Result<String, String> {
    let mut fields = fields_of(generic.of, structs, "")?;
    for ((_, ty), open) in fields.iter_mut().zip(&generic.open) {
        if let (true, Some(at)) = (open, ty.find(';')) {
            *ty = format!("{}; N]", &ty[..at]);
        }
    }
    let parameter = match generic.open.contains(&true) {
        true => "<const N: usize>",
        false => "",
    };
    Ok(structure(&generic.of.name, parameter, &fields))
}

/// A struct of words in their order.
fn structure(name: &str, parameter: &str, fields: &[(String, String)]) -> String {
    let mut text = record(name, parameter, fields);
    let of = match parameter {
        "" => "",
        _ => "<N>",
    };
    text += &format!(
        "impl{parameter} Words for {name}{of} {{\nfn push_to(&self, words: &mut Vec<u32>) {{\n"
    );
    for (field, _) in fields {
        text += &format!("self.{field}.push_to(words);\n");
    }
    text + "let _ = words;\n}\n}\n"
}

fn record(name: &str, parameter: &str, fields: &[(String, String)]) -> String {
    let derive = match parameter {
        "<B>" => "Clone, Debug",
        _ => "Clone, Copy, Debug, PartialEq",
    };
    let mut text = format!("#[derive({derive})]\npub struct {name}{parameter} {{\n");
    for (field, ty) in fields {
        text += &format!("pub {field}: {ty},\n");
    }
    text + "}\n"
}

fn docs(lines: &[String]) -> String {
    let escaped = lines.iter().map(|line| line.replace('[', "\\["));
    escaped.map(|line| format!("/// {line}\n")).collect()
}

fn enumeration(e: &Enum) -> String {
    let mut members = String::new();
    let mut all = String::new();
    for member in &e.members {
        members += &format!(
            "{}{} = {},\n",
            docs(&member.doc),
            member.name,
            member.number
        );
        all += &format!("Self::{}, ", member.name);
    }
    format!(
        "{}#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(u32)]\n\
         pub enum {name} {{\n{members}}}\n\
         impl {name} {{\n/// Every one.\npub const ALL: &'static [Self] = &[{all}];\n}}\n\
         impl Words for {name} {{\nfn push_to(&self, words: &mut Vec<u32>) {{\n\
         words.push(*self as u32);\n}}\n}}\n",
        docs(&e.doc),
        name = e.name
    )
}

fn constants(consts: &[Const]) -> String {
    let line = |c: &Const| {
        format!(
            "{}pub const {}: {} = {};\n",
            docs(&c.doc),
            c.name,
            c.ty,
            c.value
        )
    };
    consts.iter().map(line).collect()
}
