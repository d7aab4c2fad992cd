// One value that is handed from one thread to another, once.

#if os(Linux)
  import Synchronization

  /// Holds a value that cannot be copied until somebody takes it.
  public final class Parcel<Value: ~Copyable & Sendable>: Sendable {
    private let content: Mutex<Value?>

    public init(_ value: consuming sending Value) { content = Mutex(consume value) }

    /// The value, the first time; nil afterwards.
    public func take() -> Value? { content.withLock { $0.take() } }
  }
#endif
