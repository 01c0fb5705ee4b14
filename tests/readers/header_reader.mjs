// Reader 1: @huggingface/gguf, the parser behind the file pages of the Hugging Face Hub. It shares
// no code with llama.cpp or with us. Every key with its type and value, and every tensor with its
// name, type, shape and place must be what `foretoken inspect` says; and the parser, which can also
// write headers, must write ours again byte for byte.
import { openSync, readSync, closeSync, statSync, openAsBlob } from "node:fs";
import { GGMLQuantizationType, GGUFValueType, buildGgufHeader, gguf } from "@huggingface/gguf";
import { inspect } from "./foretoken.mjs";

const kShortNames = {
  UINT8: "u8", INT8: "i8", UINT16: "u16", INT16: "i16", UINT32: "u32", INT32: "i32",
  UINT64: "u64", INT64: "i64", FLOAT32: "f32", FLOAT64: "f64", BOOL: "bool", STRING: "string",
};

// As inspect spells it: "u32", "array of string".
function typeText({ type, subType }) {
  if (type === GGUFValueType.ARRAY) return `array of ${kShortNames[GGUFValueType[subType]]}`;
  return kShortNames[GGUFValueType[type]];
}

function sameScalar(ours, theirs, type) {
  if (type === "f32") return Math.fround(Number(ours)) === theirs;
  if (type === "u64" || type === "i64") return BigInt(ours) === BigInt(theirs);
  return ours === theirs;
}

function sameValue(ours, theirs, type) {
  if (!type.startsWith("array of ")) return sameScalar(ours, theirs, type);
  const element = type.slice("array of ".length);
  return (
    ours.length === theirs.length && ours.every((value, i) => sameScalar(value, theirs[i], element))
  );
}

function checkKeys(expected, typedMetadata, complain) {
  const counts = ["version", "tensor_count", "kv_count"]; // of the container, not keys
  const names = Object.keys(typedMetadata).filter((name) => !counts.includes(name));
  const ours = expected.map(({ key }) => key);
  if (names.join("\n") !== ours.join("\n")) {
    complain(`keys differ: the reader has ${names.join(", ")}; inspect has ${ours.join(", ")}`);
    return;
  }
  for (const { key, type, value } of expected) {
    const theirs = typedMetadata[key];
    if (typeText(theirs) !== type) {
      complain(`${key}: ${typeText(theirs)} to the reader, ${type} to inspect`);
    } else if (!sameValue(value, theirs.value, type)) {
      complain(`${key}: the reader and inspect read different values`);
    }
  }
}

function checkTensors(expected, parsed, complain) {
  const { tensorInfos, tensorDataOffset } = parsed;
  if (tensorInfos.length !== expected.length) {
    complain(`${tensorInfos.length} tensors to the reader, ${expected.length} to inspect`);
    return;
  }
  tensorInfos.forEach((theirs, i) => {
    const ours = expected[i];
    const described = (name, type, shape, offset) => `${name} ${type} [${shape}] at ${offset}`;
    const theirText = described(
      theirs.name,
      GGMLQuantizationType[theirs.dtype],
      theirs.shape.map(Number).reverse(), // the file has the innermost dimension first
      Number(tensorDataOffset + theirs.offset),
    );
    const ourText = described(ours.name, ours.type, ours.shape, ours.offset);
    if (theirText !== ourText) complain(`tensor ${i}: ${theirText} to the reader, ${ourText} to us`);
  });
}

async function checkHeaderBytes(path, parsed, complain) {
  const rebuilt = await buildGgufHeader(await openAsBlob(path), parsed.typedMetadata, {
    littleEndian: parsed.littleEndian,
    tensorInfoByteRange: parsed.tensorInfoByteRange,
  });
  const theirs = Buffer.from(await rebuilt.arrayBuffer());
  const ours = Buffer.alloc(theirs.length);
  const fd = openSync(path, "r");
  readSync(fd, ours, 0, ours.length, 0);
  closeSync(fd);
  if (Number(parsed.tensorDataOffset) !== theirs.length) {
    complain(`data starts at ${parsed.tensorDataOffset}; the reader would put it at ${theirs.length}`);
  }
  if (!ours.equals(theirs)) {
    const at = ours.findIndex((byte, i) => byte !== theirs[i]);
    complain(`the reader writes this header differently from byte ${at} on`);
  }
}

/** Complaints about one GGUF file; empty when the reader and we agree on all of it. */
export async function checkHeader(program, path) {
  const complaints = [];
  const complain = (text) => complaints.push(text);
  const expected = inspect(program, path);
  const parsed = await gguf(path, { allowLocalFile: true, typedMetadata: true });
  checkKeys(expected.metadata, parsed.typedMetadata, complain);
  checkTensors(expected.tensors, parsed, complain);
  await checkHeaderBytes(path, parsed, complain);

  const last = expected.tensors.at(-1);
  const end = Math.ceil((last.offset + last.bytes) / 32) * 32;
  const size = statSync(path).size;
  if (size !== end) complain(`the file has ${size} bytes and its tensors, padded, end at ${end}`);
  return {
    complaints,
    summary: `${expected.metadata.length} keys, ${expected.tensors.length} tensors`,
  };
}
