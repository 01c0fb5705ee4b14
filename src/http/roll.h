// The connections of one I/O thread, so that all of them can be told something. Used on that thread
// only.
#pragma once

#include <cstddef>
#include <vector>

namespace foretoken::http {

/// Any connection, whatever its socket.
class ConnectionBase {
 public:
  virtual ~ConnectionBase() = default;
  /// Something outside changed (the server drains): look again.
  virtual void wake() = 0;
  /// Ends now, whatever it is doing.
  virtual void cut_off() = 0;

 private:
  friend class Roll;
  std::size_t place_ = 0;
};

class Roll {
 public:
  void add(ConnectionBase& connection) {
    connection.place_ = all_.size();
    all_.push_back(&connection);
  }
  void remove(ConnectionBase& connection) {
    all_.back()->place_ = connection.place_;
    all_[connection.place_] = all_.back();
    all_.pop_back();
  }
  /// `visit` may not end a connection within the call; both members above only set things going.
  template <class Visit>
  void for_each(Visit visit) {
    for (ConnectionBase* connection : all_) visit(*connection);
  }

 private:
  std::vector<ConnectionBase*> all_;
};

}  // namespace foretoken::http
