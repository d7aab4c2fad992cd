// Interfaces by number, so that a packet carries a number and never a name. For the firewall, which
// owns the table, and the compiled rules, which look patterns up by it.

/// An interface's number in an `InterfaceTable`.
@frozen
public struct InterfaceID: Hashable, Sendable, BitwiseCopyable {
  public var rawValue: Int32
  @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }

  /// No interface: the in interface of a packet the host sends itself, say.
  @inlinable public static var none: InterfaceID { InterfaceID(rawValue: -1) }
}

/// The names of the interfaces met so far. Numbers count from 0 and never change.
public struct InterfaceTable: Hashable, Sendable {
  public private(set) var names: [String] = []
  private var numbers: [String: Int32] = [:]

  public init() {}

  public var count: Int { names.count }

  /// The number of an interface, given to it at the first call.
  public mutating func register(_ name: String) -> InterfaceID {
    if let number = numbers[name] { return InterfaceID(rawValue: number) }
    let number = Int32(names.count)
    names.append(name)
    numbers[name] = number
    return InterfaceID(rawValue: number)
  }

  /// The number of an interface, if it was registered.
  public func find(_ name: String) -> InterfaceID? {
    numbers[name].map { InterfaceID(rawValue: $0) }
  }

  /// The name of an interface, nil for `.none`.
  public func name(_ id: InterfaceID) -> String? {
    id.rawValue >= 0 && Int(id.rawValue) < names.count ? names[Int(id.rawValue)] : nil
  }
}
