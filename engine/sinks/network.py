class NetworkSink:
    @staticmethod
    def handles(uri): return "://" in uri
