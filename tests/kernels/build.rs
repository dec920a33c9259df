//! What the build reads from GLSL's text, what it refuses, and what it writes.

use crate::emit::{kernels, Family, Shader};
use crate::glsl::{camel, computable, scan, Declared, Variant};
use crate::interface::{
    binding_name, Binding, BindingKind, Constant, Interface, Member, Scalar, Struct, Structs, Type,
    Workgroup,
};
use std::collections::BTreeSet;

#[test]
fn pragmas_and_constants_are_read() {
    let text = "#version 450
#pragma variants f32: ; f16: HALF X=2
#pragma variants(part) f32: PART
#include \"lib.glsl\"
// Which way.
#pragma enum LastKind
// The first.
const uint LAST_KIND_UP = 0u;
const uint DOWN_LEFT = 7u;  // the other

// Rows.
const uint ROWS = 4u;
const uint CELLS = ROWS * (ROWS + 1);
const float HALF_OF = 0.5;
const uint TILE = SPECIAL * 2;
const uint TABLE[2] = uint[](1u, 2u);
#pragma types KIND: LastKind; FLAG: bool
#pragma group Steps: KIND FLAG
void main() {
  const uint INNER = 3;
}
";
    let found = scan(text).expect("understood");
    assert_eq!(found.includes, ["lib.glsl"]);
    let groups: Vec<_> = found.variants.iter().map(|v| v.group.as_str()).collect();
    assert_eq!(groups, ["", "part"]);
    assert_eq!(found.variants[0].variants[1].defines, ["HALF", "X=2"]);
    let kind = &found.enums[0];
    assert_eq!(
        (kind.name.as_str(), &kind.doc[..]),
        ("LastKind", &["Which way.".to_owned()][..])
    );
    let members: Vec<_> = kind
        .members
        .iter()
        .map(|m| (m.name.as_str(), m.number))
        .collect();
    assert_eq!(members, [("Up", 0), ("DownLeft", 7)]);
    assert_eq!(kind.members[1].doc, ["the other"]);
    let consts = computable(&found.consts, &BTreeSet::new());
    let consts: Vec<_> = consts
        .iter()
        .map(|c| (c.name.as_str(), c.ty, c.value.as_str()))
        .collect();
    let wanted = [
        ("ROWS", "u32", "4"),
        ("CELLS", "u32", "ROWS * (ROWS + 1)"),
        ("HALF_OF", "f32", "0.5"),
    ];
    assert_eq!(consts, wanted);
    assert_eq!(found.groups[0].constants, ["KIND", "FLAG"]);
    assert_eq!(found.types[1].ty, "bool");
}

#[test]
fn pragmas_that_are_not_understood_are_refused() {
    for wrong in [
        "#pragma varaints f32:",
        "#pragma group Steps",
        "#pragma variants(part f32:",
    ] {
        assert!(
            scan(wrong).is_err_and(|e| e.contains("not understood")),
            "{wrong}"
        );
    }
    let text = "#pragma enum Kind\nconst uint A = OTHER;";
    assert!(scan(text).is_err_and(|e| e.contains("is not a number")));
}

fn member(name: &str, ty: Type, offset: u32) -> Member {
    Member {
        name: name.into(),
        ty,
        offset,
    }
}

fn block(name: &str, members: &[Member]) -> Struct {
    Struct {
        name: name.into(),
        members: members.to_vec(),
    }
}

const U32: Type = Type::Scalar(Scalar::U32);

#[test]
fn blocks_that_are_not_words_in_a_row_are_refused() {
    let refused = |members: &[Member], why: &str| {
        let error = block("Push", members).check().expect_err(why);
        assert!(error.contains(why), "{error}");
    };
    refused(&[member("", U32, 0)], "has no name");
    refused(&[member("loop", U32, 0)], "a word of Rust");
    refused(&[member("Rows", U32, 0)], "lower case");
    refused(
        &[member("a", U32, 0), member("b", U32, 8)],
        "lies at byte 8",
    );
    let inner = Type::Struct(block("Inner", &[member("", U32, 0)]));
    refused(
        &[member("inner", inner, 0)],
        "a member of Inner has no name",
    );
    let array = Type::Array(Scalar::I32, 3);
    let inner = Type::Struct(block(
        "Inner",
        &[member("a", array, 0), member("b", U32, 12)],
    ));
    let push = block("Push", &[member("n", U32, 0), member("in_it", inner, 4)]);
    push.check().expect("words in a row");
    let leaves: Vec<_> = push
        .leaves()
        .into_iter()
        .map(|l| (l.path, l.first_word, l.words))
        .collect();
    let wanted = [("n", 0, 1), ("in_it.a", 1, 3), ("in_it.b", 4, 1)];
    assert_eq!(
        leaves,
        wanted.map(|(path, first, words)| (path.to_owned(), first, words))
    );
}

#[test]
fn a_binding_has_one_name_however_it_is_seen() {
    for (declared, name) in [
        ("x", "x"),
        ("x8", "x"),
        ("source_f32", "source"),
        ("source_i32", "source"),
        ("a_image", "a"),
        ("weight", "weight"),
    ] {
        assert_eq!(binding_name(declared), name);
    }
}

#[test]
fn structs_of_several_kernels_are_one_with_a_length() {
    let of = |length: u32| {
        let strides = Type::Array(Scalar::I32, length);
        block(
            "Window",
            &[member("offset", U32, 0), member("strides", strides, 4)],
        )
    };
    let mut structs = Structs::default();
    [of(4), of(8)].iter().for_each(|of| structs.add(of));
    assert_eq!(structs.generic().expect("alike")[0].open, [false, true]);
    assert_eq!(structs.spelled(&of(8)).expect("known"), "Window<8>");
    structs.add(&block("Window", &[member("offset", U32, 0)]));
    assert!(structs
        .generic()
        .is_err_and(|e| e.contains("differs between kernels")));
}

fn interface() -> Interface {
    let constant = |name: &str| Constant {
        name: name.into(),
        ty: Scalar::U32,
    };
    let bound = |name: &str| Binding {
        name: name.into(),
        kind: BindingKind::Buffer,
    };
    Interface {
        bindings: vec![bound("source"), bound("target")],
        push: block("Push", &[member("count", U32, 0)]),
        constants: vec![constant("RANK"), constant("KIND")],
        workgroup: Workgroup {
            shared_bytes: "0u64".into(),
            ..Workgroup::default()
        },
    }
}

#[test]
fn variants_that_are_called_alike_have_one_interface() {
    let whole = interface();
    assert_eq!(whole.difference(&interface()), None);
    let mut image = interface();
    image.bindings[0].kind = BindingKind::Image;
    assert_eq!(whole.difference(&image), None);
    let differs = |change: &dyn Fn(&mut Interface), what: &str| {
        let mut other = interface();
        change(&mut other);
        let found = whole.difference(&other).expect(what);
        assert!(found.contains(what), "{found}");
    };
    differs(&|i| i.bindings.swap(0, 1), "bindings");
    differs(&|i| i.push.members[0].name = "n".into(), "push constants");
    differs(&|i| i.push.members.clear(), "push constants");
    differs(
        &|i| i.constants[1].ty = Scalar::I32,
        "specialization constants",
    );
    differs(&|i| i.workgroup.shared_bytes = "4u64".into(), "workgroups");
}

fn family(own: &str) -> Family {
    let variant = |name: &str, defines: &[&str]| Shader {
        variant: Variant {
            name: name.into(),
            defines: defines.iter().map(|d| d.to_string()).collect(),
        },
        name: camel(&format!("copy_{name}")),
        kinds: vec![BindingKind::Buffer; 2],
    };
    Family {
        stem: "copy".into(),
        group: String::new(),
        variants: vec![variant("plain", &[]), variant("half", &["HALF"])],
        interface: interface(),
        own: scan(own).expect("understood"),
        included: Vec::new(),
    }
}

#[test]
fn a_kernel_is_a_module_of_named_fields() {
    let own = "#pragma types KIND: Kind\n#pragma enum Kind\nconst uint UP = 3u;";
    let text = kernels(&[family(own)], &[]).expect("written");
    for part in [
        "pub mod copy {",
        "pub struct Push {\npub count: u32,\n}",
        "pub struct Spec {\npub rank: u32,\npub kind: Kind,\n}",
        "pub struct Bindings<B> {\npub source: B,\npub target: B,\n}",
        "Up = 3,",
        "Self::Half => Shader::CopyHalf,",
        "pub fn with_half(half: bool)",
        "size_of::<Push>() == 4)",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn types_and_groups_that_do_not_fit_are_refused() {
    let refused = |own: &str, lib: &str, why: &str| {
        let mut family = family(own);
        let lib: Declared = scan(lib).expect("understood");
        family.included = vec![lib.clone()];
        let error = kernels(&[family], &[lib]).expect_err(why);
        assert!(error.contains(why), "{error}");
    };
    refused("#pragma types KIND: Kind", "", "which no file declares");
    refused(
        "#pragma types KID: bool",
        "",
        "KID has a type and does not exist",
    );
    refused("", "#pragma group Steps: KIND MODE", "group Steps");
    let twice = "const uint A = 1u;\n#pragma enum A\nconst uint B = 1u;";
    refused("", twice, "have one name");
    let mut float = family("#pragma types KIND: bool");
    float.interface.constants[1].ty = Scalar::F32;
    assert!(kernels(&[float], &[]).is_err_and(|e| e.contains("KIND is f32")));
}
