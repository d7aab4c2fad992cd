// How a reassembled packet was cut when it came in, for cutting it again when it leaves: Linux sends
// the fragments on with the lengths they had, as long as they fit.

/// The payload lengths of the fragments a packet arrived in, in the order of their offsets.
///
/// Holds 128 of them, which is more than a packet of 65,535 bytes has at an MTU of 552. A packet cut
/// finer is cut evenly when it leaves, where Linux would keep its lengths.
@frozen
public struct FragmentGeometry: BitwiseCopyable, Sendable {
  public static let capacity = 128

  /// The first `count` entries are in use. Bytes.
  public private(set) var lengths: InlineArray<128, UInt16>
  public private(set) var count: Int
  /// False when the lengths must not be kept: there were too many, or `discard` was called.
  public private(set) var isUsable: Bool

  public init() {
    lengths = InlineArray(repeating: 0)
    count = 0
    isUsable = true
  }

  mutating func append(_ length: Int) {
    guard isUsable, count < FragmentGeometry.capacity, length <= 0xffff else {
      isUsable = false
      return
    }
    lengths[count] = UInt16(length)
    count += 1
  }

  /// The kernel made the packet contiguous (a helper read or changed its data, say), so how it was
  /// cut is forgotten.
  public mutating func discard() {
    isUsable = false
  }

  /// The kernel made the first `length` bytes behind the network header writable, as NAT does with
  /// the 20 bytes of a TCP header: what the first fragment lacks of them moves into it.
  public mutating func pull(_ length: Int) {
    guard isUsable, count > 0, length > Int(lengths[0]) else { return }
    var missing = length - Int(lengths[0])
    lengths[0] = UInt16(clamping: length)
    var from = 1
    while from < count, missing >= Int(lengths[from]) {
      missing -= Int(lengths[from])
      from += 1
    }
    if from < count { lengths[from] -= UInt16(missing) }
    for index in from..<count { lengths[index - from + 1] = lengths[index] }
    count -= from - 1
  }
}
