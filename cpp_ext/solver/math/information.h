// Mutual information, in nats, and correlation from a joint histogram, whose rows are fixed and columns moving bins.
#pragma once

namespace mmreg {

struct Information {
  double fixed, moving, joint;  // entropies

  double mutual() const { return fixed + moving - joint; }
  // (H(F) + H(M)) / H(F, M): 1 if independent, 2 if each determines the other (Studholme et al., 1999).
  double normalised() const { return joint > 0 ? (fixed + moving) / joint : 1.0; }
};

Information information(const double* histogram, int fixed_bins, int moving_bins);

// Returns Pearson's correlation of the bin indices; 0 if an image occupies a single bin.
double correlation(const double* histogram, int fixed_bins, int moving_bins);

}  // namespace mmreg
