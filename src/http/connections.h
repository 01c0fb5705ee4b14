// Starting connections. The template behind them is compiled once per kind of socket, in a file of
// its own, because it is slow to compile.
#pragma once

#include <memory>
#include <string>

#include "http/roll.h"
#include "http/site.h"
#include "http/transport.h"

namespace foretoken::http {

/// Where a connection comes from and what it belongs to.
struct Origin {
  std::shared_ptr<Site> site;
  Presence presence;  ///< counts it
  Roll& roll;         ///< of its I/O thread
  std::string peer;
};

/// To be called on the I/O thread of the socket. `scratch` is that thread's.
void start_plain_connection(Socket socket, asio::mutable_buffer scratch, Origin origin);
void start_tls_connection(Socket socket, asio::ssl::context& context, Origin origin);

}  // namespace foretoken::http
