// Loading keys and certificates with OpenSSL.
#include "http/tls.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::http {
namespace {

/// OpenSSL's own words for what went wrong last, and an empty queue afterwards.
std::string openssl_reason() {
  const unsigned long error = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = ERR_reason_error_string(error);
  return text == nullptr ? "unknown error" : text;
}

}  // namespace

std::unique_ptr<boost::asio::ssl::context> make_tls_context(const std::string& key_file,
                                                            const std::string& certificate_file) {
  auto context = std::make_unique<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  SSL_CTX* ssl = context->native_handle();
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
  // Idle connections give their record buffers back.
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(ssl, certificate_file.c_str()) != 1) {
    throw RequestError(
        fmt::format("cannot use the certificate file {}: {}; expected PEM, the "
                    "server's certificate first",
                    quoted(certificate_file), openssl_reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(ssl, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw RequestError(
        fmt::format("cannot use the key file {} with the certificate in {}: {}; "
                    "expected the certificate's own key, PEM, without a password",
                    quoted(key_file), quoted(certificate_file), openssl_reason()));
  }
  if (SSL_CTX_check_private_key(ssl) != 1) {
    throw RequestError(
        fmt::format("the key in {} and the certificate in {} do not fit each other: {}",
                    quoted(key_file), quoted(certificate_file), openssl_reason()));
  }
  return context;
}

}  // namespace foretoken::http
