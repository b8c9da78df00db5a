module github.com/anasamu/comm

go 1.26.0
