// Names that only a demangler makes readable: templates, lambdas, operators, anonymous namespaces.
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {
struct Hidden {
    virtual ~Hidden() = default;
    virtual int area(const std::map<std::string, std::vector<int>> &sides) const { return (int)sides.size(); }
};
}  // namespace

namespace shapes {
template <typename T, int N>
struct Grid {
    T cells[N];
    __attribute__((noinline)) Grid operator+(const Grid &other) const {
        Grid out = *this;
        for (int i = 0; i < N; i++) out.cells[i] += other.cells[i];
        return out;
    }
};

__attribute__((noinline)) int apply(const std::function<int(int)> &f, int n) { return f(n); }
}  // namespace shapes

int main(int argc, char **) {
    shapes::Grid<double, 4> a{}, b{};
    std::vector<std::string> words{"b", "a"};
    std::sort(words.begin(), words.end(), [](const std::string &x, const std::string &y) { return x < y; });
    Hidden hidden;
    return shapes::apply([argc](int n) { return n + argc; }, (int)(a + b).cells[0]) + hidden.area({}) > 100;
}
