// Block scales of the FP4 formats, from the largest magnitude of a block. Ordinary functions, for
// the files compiled for an instruction set to call: they need libm and run once per block.
#pragma once

#include <cstdint>

namespace foretoken::quant {

/// The E8M0 byte of an MXFP4 block: the power of two below the largest magnitude, less 2 (codes
/// reach 6 = 1.5 * 4), so that value(e) = 2^(e - 128). 0 for 0, and for magnitudes so small that
/// the exponent would be negative, where the reference wraps round to a scale it then rejects. The
/// logarithm is rounded to binary32 first, so it reaches the next integer a little too early.
std::uint8_t mxfp4_scale(float max_abs);

/// The unsigned E4M3 byte nearest to `value`, halves up: 3 mantissa bits, exponents 2^-6..2^7,
/// subnormals in steps of 2^-9; 0 for what is not positive, 0x7E (the largest) for what is too
/// large.
std::uint8_t ue4m3_of(float value);

}  // namespace foretoken::quant
