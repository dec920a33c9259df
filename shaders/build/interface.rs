//! A kernel's interface as reflection finds it, and what must hold of it: names everywhere, 32-bit
//! words without gaps, and one interface for all variants that are called alike.

use std::collections::BTreeMap;
use std::fmt;

/// A 32-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    U32,
    I32,
    F32,
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar(Scalar),
    Array(Scalar, u32),
    Struct(Struct),
}

impl Type {
    pub(crate) fn words(&self) -> u32 {
        match self {
            Self::Scalar(_) => 1,
            Self::Array(_, length) => *length,
            Self::Struct(of) => of.words(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) ty: Type,
    /// In bytes from the start of the struct.
    pub(crate) offset: u32,
}

/// A member of members: where it lies in the push constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// `source.strides`.
    pub(crate) path: String,
    pub(crate) first_word: u32,
    pub(crate) words: u32,
}

impl Struct {
    pub(crate) fn words(&self) -> u32 {
        self.members.iter().map(|m| m.ty.words()).sum()
    }

    /// Whether names are there and Rust's, and words follow one another without gaps.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut next = 0;
        for member in &self.members {
            let Member { name, ty, offset } = member;
            check_name(name, &format!("a member of {}", self.name))?;
            if *offset != 4 * next {
                return Err(format!(
                    "{}.{name} lies at byte {offset}, words without gaps would end at {}",
                    self.name,
                    4 * next
                ));
            }
            if let Type::Struct(inner) = ty {
                inner.check()?;
            }
            next += ty.words();
        }
        Ok(())
    }

    /// All members, those of structs in their place.
    pub(crate) fn leaves(&self) -> Vec<Leaf> {
        let mut found = Vec::new();
        let mut next = 0;
        for Member { name, ty, .. } in &self.members {
            match ty {
                Type::Struct(inner) => found.extend(inner.leaves().into_iter().map(|leaf| Leaf {
                    path: format!("{name}.{}", leaf.path),
                    first_word: next + leaf.first_word,
                    ..leaf
                })),
                _ => found.push(Leaf {
                    path: name.clone(),
                    first_word: next,
                    words: ty.words(),
                }),
            }
            next += ty.words();
        }
        found
    }
}

/// A specialization constant beyond the workgroup size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constant {
    /// As GLSL spells it.
    pub(crate) name: String,
    pub(crate) ty: Scalar,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) kind: BindingKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindingKind {
    Buffer,
    Image,
}

/// A workgroup as a function of specialization constants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Workgroup {
    /// Names of those it depends on, as GLSL spells them.
    pub(crate) constants: Vec<String>,
    /// Bytes of its shared variables: Rust, in 64 bits.
    pub(crate) shared_bytes: String,
    /// Invocations that it must have: the constant `THREADS`, where the kernel has one.
    pub(crate) threads: Option<String>,
}

/// Of one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Binding 0, 1, 2, ...
    pub(crate) bindings: Vec<Binding>,
    pub(crate) push: Struct,
    /// 3, 4, 5, ...; constants 0, 1 and 2 are the workgroup size.
    pub(crate) constants: Vec<Constant>,
    pub(crate) workgroup: Workgroup,
}

impl Interface {
    pub(crate) fn check(&self) -> Result<(), String> {
        self.push.check()?;
        for (i, constant) in self.constants.iter().enumerate() {
            let what = format!("specialization constant {}", i + 3);
            check_name(&constant.name.to_lowercase(), &what)?;
        }
        for (i, binding) in self.bindings.iter().enumerate() {
            check_name(&binding.name, &format!("binding {i}"))?;
        }
        Ok(())
    }

    /// What this and `other` differ in, if they do. One may bind an image where the other has a buffer.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let names = |i: &Self| {
            i.bindings
                .iter()
                .map(|b| b.name.clone())
                .collect::<Vec<_>>()
        };
        if names(self) != names(other) {
            return Some(format!(
                "bindings, {:?} and {:?}",
                names(self),
                names(other)
            ));
        }
        if self.push != other.push {
            let differ = |(a, b): &(&Member, &Member)| a != b;
            let mut pairs = self.push.members.iter().zip(&other.push.members);
            let at = pairs.find(differ);
            return Some(format!("push constants, at {at:?}"));
        }
        if self.constants != other.constants {
            let (a, b) = (&self.constants, &other.constants);
            return Some(format!("specialization constants, {a:?} and {b:?}"));
        }
        let (a, b) = (&self.workgroup, &other.workgroup);
        (a != b).then(|| format!("workgroups, {a:?} and {b:?}"))
    }
}

/// Words of Rust that GLSL would take as names.
const KEYWORDS: &[&str] = &[
    "as", "box", "crate", "dyn", "fn", "impl", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "self", "trait", "type", "unsafe", "use", "where", "yield",
];

pub(crate) fn check_name(name: &str, what: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() {
        return Err(format!("{what} has no name"));
    }
    if !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "{what} is named {name:?}: lower case and _, as in Rust"
        ));
    }
    if KEYWORDS.contains(&name) {
        return Err(format!("{what} is named {name:?}, a word of Rust"));
    }
    Ok(())
}

/// The name of what a binding holds, without how one of its declarations sees it: `x`, `x4` and `x8`
/// are `x`, `source_f32` and `source_i32` are `source`, `a_image` is `a`.
pub(crate) fn binding_name(declared: &str) -> &str {
    for view in ["_f32", "_f16", "_i32", "_image"] {
        if let Some(name) = declared.strip_suffix(view) {
            return name;
        }
    }
    declared.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Structs by name, as all kernels declare them.
#[derive(Default)]
pub(crate) struct Structs {
    found: BTreeMap<String, Vec<Struct>>,
}

/// A struct of Rust: that of all kernels together.
#[derive(Debug)]
pub(crate) struct Generic<'a> {
    pub(crate) of: &'a Struct,
    /// Which members are arrays whose length differs between kernels.
    pub(crate) open: Vec<bool>,
}

impl Structs {
    /// Adds `of` and what it holds.
    pub(crate) fn add(&mut self, of: &Struct) {
        for member in &of.members {
            if let Type::Struct(inner) = &member.ty {
                self.add(inner);
            }
        }
        let all = self.found.entry(of.name.clone()).or_default();
        if !all.contains(of) {
            all.push(of.clone());
        }
    }

    /// Each struct, once. Kernels may differ in lengths of arrays, which are then one parameter.
    pub(crate) fn generic(&self) -> Result<Vec<Generic<'_>>, String> {
        self.found.keys().map(|name| self.of(name)).collect()
    }

    fn of(&self, name: &str) -> Result<Generic<'_>, String> {
        let all = self.found.get(name).ok_or("a struct that is not there")?;
        let first = &all[0];
        let differ = || format!("struct {name} differs between kernels: {all:?}");
        let mut open = vec![false; first.members.len()];
        for other in &all[1..] {
            if other.members.len() != first.members.len() {
                return Err(differ());
            }
            for ((a, b), open) in first.members.iter().zip(&other.members).zip(&mut open) {
                match (&a.ty, &b.ty) {
                    _ if a.name != b.name => return Err(differ()),
                    (Type::Array(a, m), Type::Array(b, n)) if a == b => *open |= m != n,
                    (a, b) if a == b => {}
                    _ => return Err(differ()),
                }
            }
        }
        let generic = Generic { of: first, open };
        let same = |of: &Struct| {
            generic
                .lengths(of)
                .windows(2)
                .all(|pair| pair[0] == pair[1])
        };
        match all.iter().all(same) {
            true => Ok(generic),
            false => Err(differ()),
        }
    }

    /// How Rust spells the type `of`, seen from where `lib` is in scope.
    pub(crate) fn spelled(&self, of: &Struct) -> Result<String, String> {
        let generic = self.of(&of.name)?;
        Ok(match generic.lengths(of).first() {
            Some(length) => format!("{}<{length}>", of.name),
            None => of.name.clone(),
        })
    }
}

impl Generic<'_> {
    /// Lengths of the open arrays of `of`, a declaration of this struct.
    fn lengths(&self, of: &Struct) -> Vec<u32> {
        let open = of.members.iter().zip(&self.open);
        open.filter(|(_, open)| **open)
            .map(|(member, _)| member.ty.words())
            .collect()
    }
}
