// Why a table refuses: Linux's error numbers, which ctnetlink answers with and conntrack's messages and
// exit statuses follow.

import ConntrackFormat

/// A refusal by the holder of a table.
public struct TableError: Error, Hashable, Sendable {
  /// As errno(3) of Linux numbers it, whatever system this runs on.
  public var number: Int32
  /// What else is to be said, in words of one line; nil: what the number says.
  public var explanation: String?

  public init(number: Int32, explanation: String? = nil) {
    self.number = number
    self.explanation = explanation
  }

  public static let notPermitted = TableError(number: 1)
  public static let noSuchEntry = TableError(number: 2)
  public static let outOfMemory = TableError(number: 12)
  public static let busy = TableError(number: 16)
  public static let exists = TableError(number: 17)
  public static let invalid = TableError(number: 22)
  public static let noSpace = TableError(number: 28)
  public static let noData = TableError(number: 61)
  public static let notSupported = TableError(number: 95)
  public static let timedOut = TableError(number: 110)

  /// What strerror(3) says.
  public var text: String {
    if let explanation { return explanation }
    return TableError.texts[number] ?? "Unknown error \(number)"
  }

  private static let texts: [Int32: String] = [
    1: "Operation not permitted", 2: "No such file or directory", 4: "Interrupted system call",
    5: "Input/output error", 9: "Bad file descriptor",
    11: "Resource temporarily unavailable", 12: "Cannot allocate memory",
    13: "Permission denied", 14: "Bad address", 16: "Device or resource busy",
    17: "File exists", 22: "Invalid argument", 24: "Too many open files",
    28: "No space left on device",
    32: "Broken pipe", 34: "Numerical result out of range", 61: "No data available",
    75: "Value too large for defined data type", 90: "Message too long",
    93: "Protocol not supported", 95: "Operation not supported",
    97: "Address family not supported by protocol", 104: "Connection reset by peer",
    105: "No buffer space available", 110: "Connection timed out", 111: "Connection refused",
    524: "Unknown error 524",
  ]

  /// What was asked for, where the words depend on it.
  public enum Operation: Sendable {
    case get
    case create
    case createExpectation
    case other
  }

  /// What conntrack 1.4.7 says behind `Operation failed: `.
  public func reason(_ operation: Operation) -> String {
    if let explanation { return explanation }
    switch (operation, number) {
    case (_, 1): return "sorry, you must be root or get CAP_NET_ADMIN capability to do this"
    case (.get, 2): return "such conntrack doesn't exist"
    case (.get, 22), (.create, 22): return "invalid parameters"
    case (.create, 17): return "Such conntrack exists, try -U to update"
    case (.createExpectation, 2): return "master conntrack not found"
    default: return text
    }
  }
}
