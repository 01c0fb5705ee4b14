#include "scheduler/fair_queue.h"

#include <gtest/gtest.h>

namespace foretoken::scheduler {
namespace {

Job job(RequestId id, const std::string& client) {
  Job out;
  out.id = id;
  out.request.client = client;
  return out;
}

std::vector<RequestId> drained(FairQueue& queue, const std::function<bool(const Job&)>& may = {}) {
  std::vector<RequestId> out;
  while (auto next = queue.take([&](const Job& j) { return !may || may(j); })) {
    out.push_back(next->id);
  }
  return out;
}

TEST(FairQueue, ClientsTakeTurnsAndKeepTheirOwnOrder) {
  FairQueue queue;
  for (const RequestId id : {1U, 2U, 3U, 4U}) queue.push(job(id, "a"));
  for (const RequestId id : {5U, 6U}) queue.push(job(id, "b"));
  queue.push(job(7, "c"));
  EXPECT_EQ(queue.size(), 7U);
  EXPECT_EQ(drained(queue), (std::vector<RequestId>{1, 5, 7, 2, 6, 3, 4}));
  EXPECT_EQ(queue.size(), 0U);
}

TEST(FairQueue, AClientWhoseTurnIsOverStandsBehindNewOnes) {
  FairQueue queue;
  queue.push(job(1, "a"));
  queue.push(job(2, "a"));
  EXPECT_EQ(queue.take([](const Job&) { return true; })->id, 1U);
  queue.push(job(3, "b"));
  EXPECT_EQ(drained(queue), (std::vector<RequestId>{2, 3}));
}

TEST(FairQueue, AJobThatMayNotStartHoldsUpNobody) {
  FairQueue queue;
  for (const RequestId id : {1U, 2U}) queue.push(job(id, "a"));
  queue.push(job(3, "b"));
  EXPECT_EQ(drained(queue, [](const Job& j) { return j.id != 1; }), (std::vector<RequestId>{2, 3}));
  EXPECT_TRUE(queue.contains(1));
  EXPECT_EQ(drained(queue), (std::vector<RequestId>{1}));
}

TEST(FairQueue, JobsCanBeTakenOutByName) {
  FairQueue queue;
  for (const RequestId id : {1U, 2U, 3U}) queue.push(job(id, "a"));
  EXPECT_EQ(queue.remove(2)->id, 2U);
  EXPECT_FALSE(queue.remove(2).has_value());
  EXPECT_FALSE(queue.contains(2));
  EXPECT_EQ(queue.clear().size(), 2U);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_FALSE(queue.take([](const Job&) { return true; }).has_value());
}

}  // namespace
}  // namespace foretoken::scheduler
