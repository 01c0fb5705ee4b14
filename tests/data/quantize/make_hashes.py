#!/usr/bin/env python3
"""FNV-1a-64 of every tensor in GGUF files, one line each: file type, tensor, tensor type, hash.

  make_hashes.py Q8_0=tiny-Q8_0.gguf Q6_K=tiny-Q6_K.gguf ... > tiny-paw.txt

Only quantized tensors are listed; the others are in the source file as they are.
"""
import mmap
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
TYPES = {2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
         8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
         12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
         20: ("IQ4_NL", 32, 18), 23: ("IQ4_XS", 256, 136)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 8  # behind the magic and the version

    def get(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0]

    def string(self):
        size = self.get("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip_value(self, kind):
        if kind == 8:
            self.string()
        elif kind == 9:
            element, count = self.get("I"), self.get("Q")
            for _ in range(count):
                self.skip_value(element)
        else:
            self.at += SIZES[kind]


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001b3) & 0xFFFFFFFFFFFFFFFF
    return value


def print_file(file_type, path):
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    reader = Reader(data)
    n_tensors, n_keys = reader.get("Q"), reader.get("Q")
    for _ in range(n_keys):
        reader.string()
        reader.skip_value(reader.get("I"))
    tensors = []
    for _ in range(n_tensors):
        name = reader.string()
        n_elements = 1
        for _ in range(reader.get("I")):
            n_elements *= reader.get("Q")
        kind, offset = reader.get("I"), reader.get("Q")
        tensors.append((name, kind, offset, n_elements))
    start = (reader.at + 31) // 32 * 32
    for name, kind, offset, n_elements in tensors:
        if kind not in TYPES:
            continue
        type_name, block, size = TYPES[kind]
        begin = start + offset
        digest = fnv1a(data[begin:begin + n_elements // block * size])
        print(file_type, name, type_name, "%016x" % digest)


for argument in sys.argv[1:]:
    print_file(*argument.split("=", 1))
