// The few exception types of the project. Each text says what was read, where (file, offset,
// tensor, key), what was expected, what was found and what to try; a tool prints it as it is.
#pragma once

#include <stdexcept>
#include <string>

namespace foretoken {

/// Base of everything the project throws on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file's bytes contradict their format.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// A valid thing that this program does not handle (another architecture, a block type, a size).
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// The operating system said no (missing file, unreadable, disk full, no memory).
class IoError : public Error {
 public:
  using Error::Error;
};

/// An accelerator failed or is absent.
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// A request or option is malformed or out of range.
class RequestError : public Error {
 public:
  using Error::Error;
};

/// The user asked for an end (Ctrl-C); nothing half done is left.
class Cancelled : public Error {
 public:
  using Error::Error;
};

}  // namespace foretoken
