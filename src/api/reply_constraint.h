// The constraint of one reply, from what its request asks for.
#pragma once

#include <atomic>
#include <memory>

#include "api/chat_request.h"
#include "api/context.h"
#include "sampling/token_constraint.h"

namespace foretoken::api {

/// For completions: grammar or schema. Null when nothing constrains. Throws RequestError.
std::unique_ptr<sampling::TokenConstraint> make_constraint(const Context& context,
                                                           const RequestFields& fields);

/// For chats: also calls and thinking. `end_reasoning` may be null.
std::unique_ptr<sampling::TokenConstraint> make_constraint(
    const Context& context, const ChatRequest& request,
    const std::shared_ptr<std::atomic<bool>>& end_reasoning);

}  // namespace foretoken::api
