#!/usr/bin/env python3
"""Takes the first delegate of a case's program apart, for tests of the C ABI alone.

    extract_blob.py CASE_DIR OUT_DIR

writes blob.bin, named/KEY for every named constant, and per run of the manifest run<R>.txt (the
shape of the input, then of the output) with run<R>_in0.bin and run<R>_out0.bin.
Reads ExecuTorch's program flatbuffer with nothing but struct.
"""
import json
import pathlib
import shutil
import struct
import sys

# Field numbers of ExecuTorch's program.fbs.
PROGRAM_EXECUTION_PLAN, PROGRAM_DELEGATE_DATA, PROGRAM_SEGMENTS, PROGRAM_NAMED_DATA = 1, 3, 4, 7
PLAN_DELEGATES = 7
DELEGATE_PROCESSED = 1
REFERENCE_LOCATION, REFERENCE_INDEX = 0, 1
SEGMENT_OFFSET, SEGMENT_SIZE = 0, 1
NAMED_KEY, NAMED_SEGMENT = 0, 1
INLINE_DATA = 0


class Table:
    """A flatbuffer table at a byte offset."""

    def __init__(self, data, at):
        self.data = data
        self.at = at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]

    def field(self, number):
        """Offset of the field's value, or None when it has its default."""
        slot = 4 + 2 * number
        if slot >= struct.unpack_from("<H", self.data, self.vtable)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0]
        return self.at + offset if offset else None

    def number(self, number, code):
        at = self.field(number)
        return 0 if at is None else struct.unpack_from("<" + code, self.data, at)[0]

    def follow(self, number):
        at = self.field(number)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, number):
        return Table(self.data, self.follow(number))

    def tables(self, number):
        at = self.follow(number)
        if at is None:
            return []
        count = struct.unpack_from("<I", self.data, at)[0]
        slots = [at + 4 + 4 * i for i in range(count)]
        return [Table(self.data, s + struct.unpack_from("<I", self.data, s)[0]) for s in slots]

    def bytes(self, number):
        at = self.follow(number)
        if at is None:
            return b""
        count = struct.unpack_from("<I", self.data, at)[0]
        return self.data[at + 4:at + 4 + count]


def segments(pte, program):
    # Extended header after the file identifier: magic, header length, program size, segment base.
    assert pte[8:10] == b"eh", "no extended header"
    base = struct.unpack_from("<Q", pte, 24)[0]
    for segment in program.tables(PROGRAM_SEGMENTS):
        offset = base + segment.number(SEGMENT_OFFSET, "Q")
        yield pte[offset:offset + segment.number(SEGMENT_SIZE, "Q")]


def main(case, out):
    manifest = json.loads((case / "manifest.json").read_text())
    pte = (case / manifest["pte"]).read_bytes()
    program = Table(pte, struct.unpack_from("<I", pte, 0)[0])
    parts = list(segments(pte, program))
    delegate = program.tables(PROGRAM_EXECUTION_PLAN)[0].tables(PLAN_DELEGATES)[0]
    reference = delegate.table(DELEGATE_PROCESSED)
    index = reference.number(REFERENCE_INDEX, "I")
    if reference.number(REFERENCE_LOCATION, "b") == 0:
        blob = program.tables(PROGRAM_DELEGATE_DATA)[index].bytes(INLINE_DATA)
    else:
        blob = parts[index]
    shutil.rmtree(out, ignore_errors=True)
    (out / "named").mkdir(parents=True)
    (out / "blob.bin").write_bytes(blob)
    for entry in program.tables(PROGRAM_NAMED_DATA):
        key = entry.bytes(NAMED_KEY).decode()
        (out / "named" / key).write_bytes(parts[entry.number(NAMED_SEGMENT, "I")])
    for number, run in enumerate(manifest["runs"]):
        lines = []
        for side, letter in (("inputs", "in"), ("outputs", "out")):
            tensor = run[side][0]
            lines.append(" ".join(map(str, [len(tensor["shape"])] + tensor["shape"])))
            shutil.copyfile(case / tensor["file"], out / f"run{number}_{letter}0.bin")
        (out / f"run{number}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
