// The delta-net states of one sequence, all layers, under the replay design (kernels/
// delta_net_state.h): matrices at the last committed token, a ring of convolution inputs, and the
// records of tokens computed but not yet committed.
#pragma once

#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/delta_net_state.h"

namespace foretoken::cache {

class RecurrentState {
 public:
  RecurrentState(const kernels::DeltaNetShape& shape, int n_layers);

  /// View for the kernels.
  kernels::DeltaNetState view(int layer) const;

  /// Everything back to the start of a sequence.
  void clear();

  /// A copy of what a sequence needs to continue at a position: matrices and the last three
  /// convolution inputs. Only meaningful when nothing is pending.
  struct Snapshot {
    AlignedBuffer<float> s;     ///< [n_layers][state_size]
    AlignedBuffer<float> conv;  ///< [n_layers][3][n_channels]: positions pos-3, pos-2, pos-1
    std::size_t size_bytes() const { return (s.size() + conv.size()) * sizeof(float); }
  };

  /// Requires that every token below `pos` is committed and none above was.
  Snapshot take_snapshot(int pos) const;
  /// The same in steps, for a pass that goes layer by layer: an empty one, then each layer at the
  /// moment it stands at `pos`.
  Snapshot make_snapshot() const;
  void copy_layer(int layer, int pos, Snapshot& out) const;
  void restore(const Snapshot& snapshot, int pos);

  const kernels::DeltaNetShape& shape() const { return shape_; }
  int n_layers() const { return n_layers_; }

 private:
  kernels::DeltaNetShape shape_;
  int n_layers_;
  AlignedBuffer<float> s_;
  AlignedBuffer<float> conv_ring_;
  AlignedBuffer<float> pending_k_;
  AlignedBuffer<float> pending_v_;
  AlignedBuffer<float> pending_beta_;
  AlignedBuffer<float> pending_g_;
};

}  // namespace foretoken::cache
