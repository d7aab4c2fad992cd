// A run of iptables or one of its kin on a gateway's rules, as it goes over the control socket.

/// What a program of the iptables family was called with.
public struct IptablesRequest: Hashable, Sendable {
  /// More words than these are refused.
  public static let mostArguments = 4096

  /// Such as `ip6tables-save`.
  public var program: String
  /// The words after its name.
  public var arguments: [String]
  /// What a `-restore` reads.
  public var input: String
  /// What a `-save` writes into its comments.
  public var date: String

  public init(program: String, arguments: [String], input: String = "", date: String = "") {
    self.program = program
    self.arguments = arguments
    self.input = input
    self.date = date
  }
}

/// What came of it.
public struct IptablesAnswer: Hashable, Sendable {
  /// For standard output and standard error, UTF-8.
  public var output: [UInt8] = []
  public var errors: [UInt8] = []
  /// The exit code.
  public var status: Int32 = 0

  public init() {}
}

extension ByteWriter {
  public mutating func put(_ request: IptablesRequest) {
    put(request.program)
    put(UInt32(request.arguments.count))
    for argument in request.arguments { putLong(argument) }
    putLong(request.input)
    put(request.date)
  }
}

extension ByteReader {
  public mutating func iptablesRequest() throws(DecodingFailure) -> IptablesRequest {
    let program = try text()
    let count = Int(try number(UInt32.self))
    guard count <= IptablesRequest.mostArguments else {
      throw DecodingFailure("a command of \(count) words")
    }
    var arguments: [String] = []
    for _ in 0..<count { arguments.append(try longText()) }
    return IptablesRequest(
      program: program, arguments: arguments, input: try longText(), date: try text())
  }
}
