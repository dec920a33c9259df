//! Reflection, on the kernels' own code with one thing changed.

use crate::interface::Interface;
use crate::reflect::reflect;
use etvk::core::shader::Shader;

const OP_NAME: u32 = 5;
const OP_MEMBER_NAME: u32 = 6;
const OP_DECORATE: u32 = 71;
const OP_MEMBER_DECORATE: u32 = 72;
const SPEC_ID: u32 = 1;
const ARRAY_STRIDE: u32 = 6;
const BINDING: u32 = 33;
const OFFSET: u32 = 35;

fn code(shader: Shader) -> Vec<u32> {
    let words = shader.info().spirv.chunks_exact(4);
    words
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

/// The code with each instruction changed, or left out where `change` gives `false`.
fn changed(shader: Shader, mut change: impl FnMut(u32, &mut [u32]) -> bool) -> Vec<u32> {
    let code = code(shader);
    let (header, mut rest) = code.split_at(5);
    let mut found = header.to_vec();
    while let Some(&first) = rest.first() {
        let (instruction, later) = rest.split_at((first >> 16) as usize);
        let mut instruction = instruction.to_vec();
        if change(first & 0xffff, &mut instruction[1..]) {
            found.extend(instruction);
        }
        rest = later;
    }
    found
}

fn refused(code: &[u32], why: &str) {
    let error = reflect(code).expect_err(why);
    assert!(error.contains(why), "{error}, not {why}");
}

#[test]
fn interfaces_are_what_the_table_says() {
    for (_, info) in Shader::all() {
        let words = info.spirv.chunks_exact(4);
        let words = words.map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
        let words: Vec<u32> = words.collect();
        let Interface {
            bindings,
            push,
            constants,
            ..
        } = reflect(&words).expect(info.name);
        let names: Vec<_> = bindings.iter().map(|b| b.name.as_str()).collect();
        assert_eq!(names, info.binding_names, "{}", info.name);
        assert_eq!(push.words(), info.push_words, "{}", info.name);
        assert_eq!(constants.len() + 3, info.spec_constants, "{}", info.name);
    }
}

#[test]
fn code_without_names_is_refused() {
    let no_members = changed(Shader::CopyPlain, |op, _| op != OP_MEMBER_NAME);
    refused(&no_members, "has no name");
    let no_names = changed(Shader::CopyPlain, |op, _| op != OP_NAME);
    refused(&no_names, "has no name");
}

#[test]
fn words_with_gaps_are_refused() {
    let moved = changed(Shader::CopyPlain, |op, words| {
        // The first array of the push constants.
        if op == OP_MEMBER_DECORATE && words[2..] == [OFFSET, 4] {
            words[3] = 16;
        }
        true
    });
    refused(&moved, "lies at byte");
    let spread = changed(Shader::CopyPlain, |op, words| {
        if op == OP_DECORATE && words[1..] == [ARRAY_STRIDE, 4] {
            words[2] = 16;
        }
        true
    });
    refused(&spread, "not neighbouring words");
}

#[test]
fn numbers_with_gaps_are_refused() {
    let far = changed(Shader::CopyPlain, |op, words| {
        if op == OP_DECORATE && words[1..] == [SPEC_ID, 4] {
            words[2] = 40;
        }
        true
    });
    refused(&far, "specialization constants");
    let far = changed(Shader::CopyPlain, |op, words| {
        if op == OP_DECORATE && words[1..] == [BINDING, 1] {
            words[2] = 5;
        }
        true
    });
    refused(&far, "are not 0, 1, 2");
    // Two buffers with names of their own as one.
    let same = changed(Shader::CopyPlain, |op, words| {
        if op == OP_DECORATE && words[1..] == [BINDING, 1] {
            words[2] = 0;
        }
        true
    });
    refused(&same, "binding 0 is");
}
