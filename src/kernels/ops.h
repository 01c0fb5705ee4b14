// The operations a Qwen3.5 forward pass is made of. This header is the contract: mathematics,
// shapes, aliasing and rounding points. kernels/reference meets it in loops written to be read
// (accumulating in double: the oracle); kernels/cpu meets it fast, one table per instruction set.
//
// Conventions. Shapes are outermost first. Activations are f32, rows contiguous. Every operation
// is batch-invariant: the bits of a row's result do not depend on how many rows go with it, on the
// number of threads, or on how a sequence was cut into calls. That is what makes greedy text with
// drafts equal to greedy text without. Calls are not reentrant: one thread drives an Ops object.
// Inputs were checked by the model loader; operations neither check nor throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "kernels/delta_net_state.h"
#include "kernels/kv_layout.h"
#include "quant/type.h"

namespace foretoken::kernels {

/// A weight matrix as the file holds it: `rows` rows of `cols` elements, each row whole blocks.
struct MatrixSource {
  quant::Type type = quant::Type::F32;
  int rows = 0;
  int cols = 0;
  const std::byte* data = nullptr;
};

/// A weight matrix in the layout of one backend. Made by Ops::pack, used only with that Ops.
class Matrix {
 public:
  Matrix(int rows, int cols, quant::Type type) : rows_(rows), cols_(cols), type_(type) {}
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  virtual ~Matrix() = default;
  int rows() const { return rows_; }
  int cols() const { return cols_; }
  quant::Type type() const { return type_; }   ///< of the file
  virtual std::size_t size_bytes() const = 0;  ///< memory held by this object
 private:
  int rows_;
  int cols_;
  quant::Type type_;
};

/// Rows of activations, optionally RMS-normalised on the way in:
///   row <- row * (mean(row^2) + eps)^(-1/2) * norm     (no norm when null)
struct Rows {
  const float* x = nullptr;  ///< [n, width]
  int n = 0;
  int width = 0;
  const float* norm = nullptr;  ///< [width] or null
  float eps = 0.0F;
};

/// One output of `project`: out[t, r] = sum_c matrix[r, c] * x[t, c], or += when `add`.
struct Projection {
  const Matrix* matrix = nullptr;
  float* out = nullptr;  ///< [n, matrix->rows()]
  bool add = false;
};

/// A run of matrix rows: [begin, begin + count).
struct RowRange {
  int begin = 0;
  int count = 0;
};

/// Row ranges of `project_rows` begin and end at multiples of this (or at the matrix's end).
inline constexpr int kRowGroup = 16;

/// Rotation angles of a batch: cos and sin [n, n_pairs] f32. Pair i joins dimensions i and
/// i + n_pairs of a head; dimensions from 2*n_pairs on pass through. See model/qwen35/rope.h.
struct RopeAngles {
  const float* cos = nullptr;
  const float* sin = nullptr;
  int n_pairs = 0;
};

/// Arguments of `store_kv`.
struct StoreKvArgs {
  const float* k = nullptr;       ///< [n, n_kv_heads, head_dim], raw projection
  const float* v = nullptr;       ///< [n, n_kv_heads, head_dim]
  const float* k_norm = nullptr;  ///< [head_dim]
  float eps = 0.0F;
  RopeAngles rope;  ///< of these n tokens
  int n = 0;
  int first_pos = 0;  ///< cache position of token 0
  KvView kv;
};

/// Arguments of `attend`.
struct AttendArgs {
  const float* q_gate = nullptr;  ///< [n, n_heads, 2, head_dim]: per head query, then gate
  const float* q_norm = nullptr;  ///< [head_dim]
  float eps = 0.0F;
  RopeAngles rope;  ///< of these n tokens
  int n = 0;
  int first_pos = 0;  ///< query t sees cache positions 0 .. first_pos + t
  int n_heads = 0;    ///< n_heads % kv.n_kv_heads == 0
  KvView kv;
  float* out = nullptr;  ///< [n, n_heads, head_dim]
};

/// Arguments of `delta_net`.
struct DeltaNetArgs {
  DeltaNetShape shape;
  float* qkv = nullptr;            ///< [n, n_channels]: q, k, v heads; overwritten (scratch)
  const float* z = nullptr;        ///< [n, n_v_heads*d_v] output gate, before SiLU
  const float* alpha = nullptr;    ///< [n, n_v_heads]
  const float* beta = nullptr;     ///< [n, n_v_heads], before the sigmoid
  const float* conv = nullptr;     ///< [n_channels, 4], column 3 multiplies the current token
  const float* a = nullptr;        ///< [n_v_heads], = -exp(A_log)
  const float* dt_bias = nullptr;  ///< [n_v_heads]
  const float* norm = nullptr;     ///< [d_v], plain scale
  float eps = 0.0F;                ///< of the output norm; the l2 norms use 1e-6
  int n = 0;                       ///< 0: only fold; then only weights and state are read
  std::int64_t first_pos = 0;      ///< position of token 0 (row of the convolution ring)
  int n_fold = 0;                  ///< pending tokens to commit first, 0 .. kMaxPending
  bool commit = false;             ///< commit the n new tokens too; otherwise n <= kMaxPending and
                                   ///< they become the pending ones
  DeltaNetState state;
  float* out = nullptr;  ///< [n, n_v_heads*d_v]
};

/// A backend. Thread-compatible; owns its scratch memory and borrows the pool.
class Ops {
 public:
  virtual ~Ops() = default;

  /// For people: "avx512-vnni, 4 threads".
  virtual std::string_view name() const = 0;

  /// Copies a matrix into this backend's layout (the reference backend keeps a pointer into
  /// `source.data`, which must then outlive the matrix). Every decodable type is accepted; the
  /// values are those of quant::dequantize_row.
  virtual std::unique_ptr<Matrix> pack(const MatrixSource& source) = 0;

  /// y = W norm(x) for several matrices that share an input. Where W is quantized the fast
  /// backends also quantize norm(x) to 8 bits in blocks (docs/kernels.md gives the rule); the
  /// reference does not. No output may overlap the input or another output.
  virtual void project(const Rows& in, std::span<const Projection> out) = 0;

  /// out[t, r] = silu(g) * u with g = (gate norm(x))[t, r], u = (up norm(x))[t, r];
  /// silu(g) = g / (1 + e^-g). out [n, gate.rows()].
  virtual void project_swiglu(const Rows& in, const Matrix& gate, const Matrix& up, float* out) = 0;

  /// Only some rows of a matrix: out[t, i] for the i-th row of the concatenated ranges, in order.
  /// Each has the same bits as `project` would give it. out [n, sum of counts].
  virtual void project_rows(const Rows& in, const Matrix& matrix, std::span<const RowRange> ranges,
                            float* out) = 0;

  /// out = norm(x) as described at Rows (in.norm not null). out may be in.x.
  virtual void rms_norm(const Rows& in, float* out) = 0;

  /// k <- rope(rms_norm(k; k_norm)); k and v are rounded to the cache's types and stored at
  /// first_pos .. first_pos + n - 1. Rounding: F16/BF16 to nearest even; Q8_0: d = max|x|/127 over
  /// 32 dimensions, stored as f16, q = round(x / d_unrounded) half away from zero; Q4_0 as the file
  /// format: d = m/-8 with m the signed value of largest magnitude, q = min(15, trunc(x/d + 8.5)).
  virtual void store_kv(const StoreKvArgs& args) = 0;

  /// Gated softmax attention over the stored keys, which include those of the n new tokens.
  ///   q <- rope(rms_norm(q; q_norm));  s_j = (q . k_j) * head_dim^(-1/2), j <= first_pos + t
  ///   out[t, h] = (sum_j softmax(s)_j v_j) * sigmoid(gate[t, h])
  /// Head h reads key/value head h / (n_heads / n_kv_heads). Key ranges are cut at fixed positions.
  virtual void attend(const AttendArgs& args) = 0;

  /// One delta-net mixer up to (not including) its output matrix.
  ///   c = silu(causal convolution of 4 taps over time, per channel);  c -> q, k, v heads
  ///   q, k <- x * (sum(x^2) + 1e-6)^(-1/2) per head;  q <- q * d_k^(-1/2)
  ///   beta <- sigmoid(beta);  g = a * softplus(alpha + dt_bias), softplus(x) = x for x > 20
  ///   per token and value head h (with key head h % n_k_heads, GGUF's tiled order):
  ///     s <- exp(g) s;  u = s^T k;  d = beta (v - u);  s <- s + k d^T;  o = s^T q
  ///   out = o * (mean(o^2) + eps)^(-1/2) * norm * silu(z)     per head, over d_v
  /// First commits `n_fold` pending tokens to state.s with the same update. See delta_net_state.h.
  /// Source: docs/delta-net.md.
  virtual void delta_net(const DeltaNetArgs& args) = 0;
};

/// Instruction-set levels of the CPU backend, least first.
enum class CpuLevel { Scalar, Avx2, Avx512, Avx512Vnni };

/// "scalar", "avx2", "avx512", "avx512-vnni".
std::string_view cpu_level_name(CpuLevel level);
/// Levels that this build and this processor both have, least first; never empty.
std::span<const CpuLevel> available_cpu_levels();

/// The readable backend (single-threaded, slow).
std::unique_ptr<Ops> make_reference_ops();
/// The fast backend at a given level. Throws UnsupportedError for a level the processor lacks.
/// `pool` must outlive the result.
std::unique_ptr<Ops> make_cpu_ops(ThreadPool& pool, CpuLevel level);

}  // namespace foretoken::kernels
