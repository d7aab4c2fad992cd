// A field that keeps a large struct where it is: for the tables and the state of a packet under way,
// which must be worked on in place.

import Synchronization

/// A stored property of this type makes its struct one that only has an address. Without it the
/// compiler takes a noncopyable struct of plain fields for a value like any other, and copies all of
/// its bytes to the stack for each call of a method that does not mutate it (measured: half of the
/// instructions of a new connection).
public struct InPlace: ~Copyable, Sendable {
  // What is atomic cannot be moved while it is borrowed, so it is never passed in registers.
  private let anchor = Atomic<UInt8>(0)
  public init() {}
}
