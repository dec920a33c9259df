// A loop over several windows. The including file says how many dims it has at most: MAX_RANK.
struct Window {
  // First element.
  int offset;
  // Distance of neighbours along each dim of the loop, outermost first.
  int strides[MAX_RANK];
};
