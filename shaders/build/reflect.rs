//! What SPIR-V says of a kernel's interface.

use crate::interface::{
    binding_name, Binding, BindingKind, Constant, Interface, Member, Scalar, Struct, Type,
    Workgroup,
};
use rspirv::dr::{Instruction, Module, Operand};
use rspirv::spirv::{Decoration, Op, StorageClass};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The interface of a module with one entry point. Errors say what a kernel must not do.
pub(crate) fn reflect(spirv: &[u32]) -> Result<Interface, String> {
    let mut loader = rspirv::dr::Loader::new();
    rspirv::binary::parse_words(spirv, &mut loader).map_err(|e| format!("{e:?}"))?;
    let module = loader.module();
    let facts = Facts::new(&module);
    let interface = Interface {
        bindings: facts.bindings()?,
        push: facts.push()?,
        constants: facts.constants()?,
        workgroup: facts.workgroup()?,
    };
    interface.check()?;
    Ok(interface)
}

/// A module by id.
struct Facts<'a> {
    /// Types, constants and variables in the module's order, and by id.
    globals: Vec<&'a Instruction>,
    by_id: HashMap<u32, &'a Instruction>,
    names: HashMap<u32, &'a str>,
    member_names: HashMap<(u32, u32), &'a str>,
    offsets: HashMap<(u32, u32), u32>,
    array_strides: HashMap<u32, u32>,
    bindings: HashMap<u32, u32>,
    spec_ids: HashMap<u32, u32>,
}

impl<'a> Facts<'a> {
    fn new(module: &'a Module) -> Self {
        let globals: Vec<_> = module.types_global_values.iter().collect();
        let by_id = globals.iter().filter_map(|i| Some((i.result_id?, *i)));
        let mut facts = Self {
            by_id: by_id.collect(),
            globals,
            names: HashMap::new(),
            member_names: HashMap::new(),
            offsets: HashMap::new(),
            array_strides: HashMap::new(),
            bindings: HashMap::new(),
            spec_ids: HashMap::new(),
        };
        for i in &module.debug_names {
            match i.operands.as_slice() {
                [Operand::IdRef(id), Operand::LiteralString(name)] => {
                    facts.names.insert(*id, name);
                }
                [Operand::IdRef(id), Operand::LiteralBit32(n), Operand::LiteralString(name)] => {
                    facts.member_names.insert((*id, *n), name);
                }
                _ => {}
            }
        }
        for i in &module.annotations {
            facts.decoration(&i.operands);
        }
        facts
    }

    fn decoration(&mut self, operands: &[Operand]) {
        use Operand::{Decoration as Is, IdRef, LiteralBit32};
        match operands {
            [IdRef(id), Is(Decoration::Binding), LiteralBit32(n)] => {
                self.bindings.insert(*id, *n);
            }
            [IdRef(id), Is(Decoration::SpecId), LiteralBit32(n)] => {
                self.spec_ids.insert(*id, *n);
            }
            [IdRef(id), Is(Decoration::ArrayStride), LiteralBit32(n)] => {
                self.array_strides.insert(*id, *n);
            }
            [IdRef(id), LiteralBit32(at), Is(Decoration::Offset), LiteralBit32(n)] => {
                self.offsets.insert((*id, *at), *n);
            }
            _ => {}
        }
    }

    fn get(&self, id: u32) -> Result<&'a Instruction, String> {
        let found = self.by_id.get(&id).copied();
        found.ok_or_else(|| format!("no instruction has the id {id}"))
    }

    fn name(&self, id: u32) -> &'a str {
        self.names.get(&id).copied().unwrap_or_default()
    }

    /// Bindings 0, 1, 2, ...; several variables may show one buffer.
    fn bindings(&self) -> Result<Vec<Binding>, String> {
        let mut found: BTreeMap<u32, Binding> = BTreeMap::new();
        for i in &self.globals {
            let number = i.result_id.and_then(|id| self.bindings.get(&id));
            let (Op::Variable, Some(&number)) = (i.class.opcode, number) else {
                continue;
            };
            let (Some(Operand::StorageClass(class)), Some(pointer), Some(id)) =
                (i.operands.first(), i.result_type, i.result_id)
            else {
                return Err(format!("binding {number}: a variable of no class"));
            };
            let (kind, declared) = match class {
                StorageClass::UniformConstant => (BindingKind::Image, self.name(id)),
                // A buffer without a name shows its only member.
                _ => {
                    let block = self.pointee(pointer)?;
                    let member = self.member_names.get(&(block, 0));
                    (BindingKind::Buffer, member.copied().unwrap_or_default())
                }
            };
            let name = binding_name(declared).to_owned();
            let binding = Binding { name, kind };
            match found.get(&number) {
                Some(other) if *other != binding => {
                    return Err(format!("binding {number} is {other:?} and {binding:?}"))
                }
                _ => found.insert(number, binding),
            };
        }
        let count = u32::try_from(found.len()).unwrap_or(0);
        if !found.keys().copied().eq(0..count) {
            return Err(format!("bindings {found:?} are not 0, 1, 2, ..."));
        }
        Ok(found.into_values().collect())
    }

    fn pointee(&self, pointer: u32) -> Result<u32, String> {
        match self.get(pointer)?.operands.as_slice() {
            [_, Operand::IdRef(ty)] => Ok(*ty),
            other => Err(format!("a pointer to {other:?}")),
        }
    }

    /// The push constants; an empty struct when there are none.
    fn push(&self) -> Result<Struct, String> {
        for i in &self.globals {
            if let (Op::Variable, [Operand::StorageClass(StorageClass::PushConstant), ..]) =
                (i.class.opcode, i.operands.as_slice())
            {
                let pointer = i.result_type.ok_or("a variable without a type")?;
                return self.structure(self.pointee(pointer)?);
            }
        }
        Ok(Struct {
            name: "Push".into(),
            members: Vec::new(),
        })
    }

    fn structure(&self, id: u32) -> Result<Struct, String> {
        let name = self.name(id).to_owned();
        let mut members = Vec::new();
        for (at, operand) in (0u32..).zip(&self.get(id)?.operands) {
            let Operand::IdRef(ty) = operand else {
                return Err(format!("{name} has a member {operand:?}"));
            };
            let member = self.member_names.get(&(id, at)).copied();
            let member = member.unwrap_or_default();
            members.push(Member {
                name: member.to_owned(),
                ty: self.ty(*ty).map_err(|e| format!("{name}.{member}: {e}"))?,
                offset: *self
                    .offsets
                    .get(&(id, at))
                    .ok_or("a member without offset")?,
            });
        }
        Ok(Struct { name, members })
    }

    fn ty(&self, id: u32) -> Result<Type, String> {
        let i = self.get(id)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::TypeStruct, _) => self.structure(id).map(Type::Struct),
            (Op::TypeArray, [Operand::IdRef(of), Operand::IdRef(length)]) => {
                if self.array_strides.get(&id) != Some(&4) {
                    return Err("an array whose elements are not neighbouring words".into());
                }
                match self.get(*length)?.operands.as_slice() {
                    [Operand::LiteralBit32(n)] => Ok(Type::Array(self.scalar(*of)?, *n)),
                    other => Err(format!("an array of length {other:?}")),
                }
            }
            _ => self.scalar(id).map(Type::Scalar),
        }
    }

    fn scalar(&self, id: u32) -> Result<Scalar, String> {
        use Operand::LiteralBit32;
        let i = self.get(id)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::TypeInt, [LiteralBit32(32), LiteralBit32(0)]) => Ok(Scalar::U32),
            (Op::TypeInt, [LiteralBit32(32), LiteralBit32(1)]) => Ok(Scalar::I32),
            (Op::TypeFloat, [LiteralBit32(32), ..]) => Ok(Scalar::F32),
            (op, _) => Err(format!(
                "{op:?} is no 32-bit scalar, array or struct of those"
            )),
        }
    }

    /// Specialization constants 3, 4, ...; 0, 1 and 2 must be there.
    fn constants(&self) -> Result<Vec<Constant>, String> {
        let mut found = BTreeMap::new();
        for (id, number) in &self.spec_ids {
            let ty = self
                .get(*id)?
                .result_type
                .ok_or("a constant without a type")?;
            let name = self.name(*id).to_owned();
            let ty = self
                .scalar(ty)
                .map_err(|e| format!("specialization constant {number} {name}: {e}"))?;
            found.insert(*number, Constant { name, ty });
        }
        let numbers: Vec<_> = found.keys().copied().collect();
        if numbers.len() < 3 || !numbers.iter().copied().eq(0..numbers.len() as u32) {
            return Err(format!(
                "specialization constants {numbers:?} are not 0, 1, 2 (the workgroup size), 3, ..."
            ));
        }
        Ok(found.into_values().skip(3).collect())
    }

    /// All shared variables, and the constant `THREADS`.
    fn workgroup(&self) -> Result<Workgroup, String> {
        let mut expression = Expression {
            facts: self,
            constants: BTreeSet::new(),
        };
        let (mut bytes, mut threads) = (Vec::new(), None);
        for i in &self.globals {
            if let (Op::Variable, [Operand::StorageClass(StorageClass::Workgroup), ..]) =
                (i.class.opcode, i.operands.as_slice())
            {
                let pointer = i.result_type.ok_or("a variable without a type")?;
                bytes.push(expression.size(self.pointee(pointer)?)?);
            }
            let id = i.result_id.filter(|id| self.name(*id) == "THREADS");
            if let (Op::SpecConstantOp, Some(id)) = (i.class.opcode, id) {
                threads = Some(expression.value(id)?);
            }
        }
        let bytes = bytes
            .into_iter()
            .reduce(|sum, more| call(&sum, "saturating_add", &more));
        Ok(Workgroup {
            // In the order of their numbers.
            constants: expression
                .constants
                .into_iter()
                .map(|(_, name)| name)
                .collect(),
            shared_bytes: bytes.unwrap_or_else(|| "0u64".into()),
            threads,
        })
    }
}

/// Rust for what SPIR-V computes from specialization constants, in 64 bits: saturating, as sizes that
/// an untrusted program sets may be anything.
struct Expression<'a> {
    facts: &'a Facts<'a>,
    constants: BTreeSet<(u32, String)>,
}

fn call(left: &str, method: &str, right: &str) -> String {
    format!("{left}.{method}({right})")
}

impl Expression<'_> {
    /// Bytes of a variable of type `id`.
    fn size(&mut self, id: u32) -> Result<String, String> {
        use Operand::{IdRef, LiteralBit32};
        let i = self.facts.get(id)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::TypeInt | Op::TypeFloat, [LiteralBit32(bits), ..]) => {
                Ok(format!("{}u64", bits / 8))
            }
            (Op::TypeVector, [IdRef(of), LiteralBit32(n)]) => {
                match self.facts.get(*of)?.operands.first() {
                    Some(LiteralBit32(bits)) => Ok(format!("{}u64", bits / 8 * n)),
                    other => Err(format!("a shared vector of {other:?}")),
                }
            }
            (Op::TypeArray, [IdRef(of), IdRef(length)]) => {
                let (of, length) = (self.size(*of)?, self.value(*length)?);
                Ok(call(&of, "saturating_mul", &length))
            }
            (op, _) => Err(format!("a shared variable of {op:?}")),
        }
    }

    fn value(&mut self, id: u32) -> Result<String, String> {
        let i = self.facts.get(id)?;
        match (i.class.opcode, i.operands.as_slice()) {
            (Op::Constant, [Operand::LiteralBit32(n)]) => Ok(format!("{n}u64")),
            (Op::SpecConstant, _) => {
                let name = self.facts.name(id);
                let number = self.facts.spec_ids.get(&id).copied();
                let number = number.ok_or("a constant without a number")?;
                self.constants.insert((number, name.to_owned()));
                Ok(format!("u64::from(self.{})", name.to_lowercase()))
            }
            (Op::SpecConstantOp, [Operand::LiteralSpecConstantOpInteger(op), of @ ..]) => {
                let of: Vec<_> = of
                    .iter()
                    .map(|operand| match operand {
                        Operand::IdRef(id) => self.value(*id),
                        other => Err(format!("{other:?} in the size of a workgroup")),
                    })
                    .collect::<Result<_, _>>()?;
                operation(*op, &of)
            }
            (op, _) => Err(format!("{op:?} in the size of a workgroup")),
        }
    }
}

fn operation(op: Op, of: &[String]) -> Result<String, String> {
    let infix = |sign: &str, a: &str, b: &str| format!("({a} {sign} {b})");
    Ok(match (op, of) {
        (Op::IAdd, [a, b]) => call(a, "saturating_add", b),
        (Op::ISub, [a, b]) => call(a, "saturating_sub", b),
        (Op::IMul, [a, b]) => call(a, "saturating_mul", b),
        (Op::UDiv, [a, b]) => call(a, "checked_div", b) + ".unwrap_or(0)",
        (Op::UMod, [a, b]) => call(a, "checked_rem", b) + ".unwrap_or(0)",
        (Op::BitwiseOr, [a, b]) => infix("|", a, b),
        (Op::UGreaterThan, [a, b]) => infix(">", a, b),
        (Op::ULessThan, [a, b]) => infix("<", a, b),
        (Op::IEqual, [a, b]) => infix("==", a, b),
        (Op::INotEqual, [a, b]) => infix("!=", a, b),
        (Op::Select, [condition, a, b]) => format!("(if {condition} {{ {a} }} else {{ {b} }})"),
        _ => return Err(format!("{op:?} in the size of a workgroup")),
    })
}
