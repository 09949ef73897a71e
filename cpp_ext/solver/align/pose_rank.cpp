#include "solver/align/pose_rank.h"

#include <algorithm>
#include <cmath>

namespace mmreg {
namespace {

constexpr double kChanceShare = 0.12;  // by this share the mutual information of an unusual pose must be higher,
constexpr double kMostNats = 0.06;     // but in nats by no more than this

}  // namespace

double PoseRank::turned(const AffineMap& map) const {
  const AffineMap turn = compose(invert(start_), map);
  const double cosine = 0.5 * (turn(0, 0) + turn(1, 1) + turn(2, 2) - 1);
  return std::acos(std::min(1.0, std::max(-1.0, cosine))) / (reach_degrees_ * kRadiansPerDegree);
}

double PoseRank::rank(const Candidate& c, double beyond) const {
  const double share = turned(c.map);
  return share <= 1 ? c.score * (1 - 0.1 * share * share) : c.score - std::min(kMostNats, beyond * c.score);
}

std::vector<Candidate> PoseRank::without_chance(std::vector<Candidate> poses) const {
  double usual = 0;
  for (const Candidate& c : poses)
    if (turned(c.map) <= 1) usual = std::max(usual, c.score);
  const auto chance = [&](const Candidate& c) {
    return turned(c.map) > 1 && c.score < usual + std::min(0.5 * kMostNats, kChanceShare * usual);
  };
  poses.erase(std::remove_if(poses.begin(), poses.end(), chance), poses.end());
  return poses;
}

}  // namespace mmreg
