// The server's side of TLS: a key, a certificate, and what is not spoken any more.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

namespace foretoken::http {

/// TLS 1.2 and newer, with a PEM key and a PEM chain of certificates. Throws RequestError when a
/// file cannot be used or the two do not belong together.
std::unique_ptr<boost::asio::ssl::context> make_tls_context(const std::string& key_file,
                                                            const std::string& certificate_file);

}  // namespace foretoken::http
