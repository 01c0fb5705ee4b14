// Connections over plain sockets.
#include "http/connection.h"
#include "http/connections.h"

namespace foretoken::http {

void start_plain_connection(Socket socket, asio::mutable_buffer scratch, Origin origin) {
  std::make_shared<Connection<PlainTransport>>(PlainTransport(std::move(socket), scratch),
                                               std::move(origin))
      ->start();
}

}  // namespace foretoken::http
