// Where Weir is known to be wrong, generators leave out what would show it again and again: the kept
// case `known-*.case` of the same name stands for it. Made right, its switch goes.

enum KnownDifferences {
  /// `known-reset-asks-nat`: REJECT with a TCP reset while there is a nat table.
  static let resetBehindNAT = true
}
