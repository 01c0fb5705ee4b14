// Connections with TLS.
#include "http/connection.h"
#include "http/connections.h"

namespace foretoken::http {

void start_tls_connection(Socket socket, asio::ssl::context& context, Origin origin) {
  std::make_shared<Connection<TlsTransport>>(TlsTransport(std::move(socket), context),
                                             std::move(origin))
      ->start();
}

}  // namespace foretoken::http
